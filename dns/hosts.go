package dns

import (
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// hostsFiles serves the names of hosts(5) files, as they are now.
type hostsFiles struct {
	files []string
	// machine are the addresses of this machine that pods reach. They stand for the loopback addresses in the files, which in a pod
	// would be the pod itself.
	machine []netip.Addr
	log     *slog.Logger

	mu    sync.Mutex // guards all below
	read  time.Time
	texts [][]byte
	nodes map[string]node // by the whole name, also below in-addr.arpa and ip6.arpa
}

func newHostsFiles(files []string, machine []netip.Addr, log *slog.Logger) *hostsFiles {
	return &hostsFiles{files: files, machine: machine, log: log, texts: make([][]byte, len(files))}
}

// find looks up a name, which is in lower case and ends in a dot.
func (h *hostsFiles) find(name string, now time.Time) (node, bool) {
	if len(h.files) == 0 {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.read) >= rereadAfter {
		h.read = now
		h.reread()
	}
	n, ok := h.nodes[name]
	return n, ok
}

// reread takes over the files whose text changed.
func (h *hostsFiles) reread() {
	some := false
	for i, file := range h.files {
		if text, changed := reread(file, h.texts[i], h.log); changed {
			h.texts[i], some = text, true
		}
	}
	if !some {
		return
	}
	h.nodes = map[string]node{}
	for _, text := range h.texts {
		h.add(string(text))
	}
}

// add takes the names of a file. A line is an address and its names, the first of which is what the address is called.
func (h *hostsFiles) add(text string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		addr, ok := parseIP(words[0])
		if !ok {
			continue
		}
		if addr.IsLoopback() {
			if addr = h.standsFor(addr); !addr.IsValid() {
				continue
			}
		} else {
			h.addPointer(addr, dns.Fqdn(words[1]))
		}
		for _, name := range words[1:] {
			h.addName(dns.CanonicalName(name), addr)
		}
	}
}

// standsFor is the machine's address of the family of a loopback address. A machine that has none of IPv6 for pods has one
// of IPv4, whose names mostly are the same; the other way around they may be in no other line.
func (h *hostsFiles) standsFor(loopback netip.Addr) netip.Addr {
	for _, addr := range h.machine {
		if addr.Is4() == loopback.Is4() {
			return addr
		}
	}
	if loopback.Is6() {
		return netip.Addr{}
	}
	return h.machine[0]
}

func (h *hostsFiles) addPointer(addr netip.Addr, name string) {
	reverse, err := dns.ReverseAddr(addr.String())
	if _, ok := dns.IsDomainName(name); !ok || err != nil || h.nodes[reverse] != nil {
		return
	}
	pointer := &dns.PTR{Hdr: header(reverse, dns.TypePTR), Ptr: name}
	h.nodes[reverse] = node{dns.TypePTR: {answer: []dns.RR{pointer}}}
}

func (h *hostsFiles) addName(name string, addr netip.Addr) {
	if _, ok := dns.IsDomainName(name); !ok || isLocalhost(name) {
		return
	}
	n := h.nodes[name]
	if n == nil {
		n = node{}
		h.nodes[name] = n
	}
	record := addressRecord(name, addr)
	set := n[record.Header().Rrtype]
	for _, known := range set.answer {
		if dns.IsDuplicate(known, record) {
			return
		}
	}
	set.answer = append(set.answer, record)
	n[record.Header().Rrtype] = set
}

// isLocalhost tells of names that are the asker itself, whatever files say (RFC 6761, section 6.3).
func isLocalhost(name string) bool {
	return name == "localhost." || strings.HasSuffix(name, ".localhost.") || name == "localhost.localdomain."
}

// localhostNode has the addresses of a name of localhost.
func localhostNode(name string) node {
	return node{
		dns.TypeA:    {answer: []dns.RR{addressRecord(name, netip.AddrFrom4([4]byte{127, 0, 0, 1}))}},
		dns.TypeAAAA: {answer: []dns.RR{addressRecord(name, netip.IPv6Loopback())}},
	}
}
