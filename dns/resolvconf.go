package dns

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// rereadAfter is how old the knowledge of resolv.conf may be when a
	// question needs it. The file is small and its time of change can lie
	// (a link that is swapped, two writes within a tick), so it is read.
	rereadAfter = time.Second
)

// resolvConf follows the nameservers in a resolv.conf(5).
type resolvConf struct {
	path string
	port uint16 // 53; tests have others
	log  *slog.Logger

	mu      sync.Mutex // guards all below
	read    time.Time
	text    []byte
	servers []*upstream
	changes uint64
}

// generation is another number for each text that the file has had.
func (r *resolvConf) generation(now time.Time) uint64 {
	r.upstreams(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

// upstreams are the nameservers in the file's order. There are none when there
// is no file.
func (r *resolvConf) upstreams(now time.Time) []*upstream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.read) >= rereadAfter {
		r.read = now
		r.reread()
	}
	return r.servers
}

// reread takes over the file if its text changed. A file that cannot be read
// changes nothing, unless it is gone.
func (r *resolvConf) reread() {
	text, changed := reread(r.path, r.text, r.log)
	if !changed {
		return
	}
	r.text = text
	r.servers = parseResolvConf(text, r.port)
	r.changes++
	addrs := []string{}
	for _, u := range r.servers {
		addrs = append(addrs, u.addr.Addr().String())
	}
	r.log.Info("nameservers for names outside the cluster", "file", r.path, "nameservers", addrs)
}

// reread returns a file's text, never nil, and whether it is another than known, which is nil for a file that was not read
// yet. A file that is gone has no text; one that cannot be read is taken for unchanged.
func reread(path string, known []byte, log *slog.Logger) (text []byte, changed bool) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("keep what is known of a file", "err", err)
		return known, false
	}
	if known != nil && bytes.Equal(text, known) {
		return known, false
	}
	return append([]byte{}, text...), true
}

// parseResolvConf takes the nameserver lines; those that are no address are
// left out, as libc does.
func parseResolvConf(text []byte, port uint16) []*upstream {
	config, err := dns.ClientConfigFromReader(bytes.NewReader(text))
	if err != nil {
		return nil // a line too long for the reader: no resolv.conf
	}
	var servers []*upstream
	for _, server := range config.Servers {
		if addr, err := netip.ParseAddr(server); err == nil {
			servers = append(servers, &upstream{addr: netip.AddrPortFrom(addr.Unmap(), port)})
		}
	}
	return servers
}
