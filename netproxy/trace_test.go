package netproxy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tracer follows the first packet of a connection through the text of a ruleset, along every random choice.
type tracer struct {
	t      *testing.T
	tables map[string]map[string][][]string // table, chain, rules, words
}

// packet is what matches look at.
type packet struct {
	in, out, proto string
	src, dst       netip.Addr
	port           uint64
	mark           uint64
	dnat           bool
}

func newTracer(t *testing.T, text string) *tracer {
	tr := &tracer{t: t, tables: map[string]map[string][][]string{}}
	table := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = words[0][1:]
			tr.tables[table] = map[string][][]string{}
		case strings.HasPrefix(line, ":"):
			tr.tables[table][words[0][1:]] = nil
		case strings.HasPrefix(line, "-A"):
			chains := tr.tables[table]
			chains[words[1]] = append(chains[words[1]], words[2:])
		}
	}
	return tr
}

// walker goes through the rules of one backend.
type walker interface {
	// nat calls end for each way out of the hook's nat rules.
	nat(hook string, p packet, end func(packet))
	// filter returns what the hook's filter rules, which have no random choice, decide.
	filter(hook string, p *packet) (verdict string)
}

// trace says where packets from an address to protocol://address:port end, as path.want does.
func trace(w walker, from, to string) string {
	proto, rest, _ := strings.Cut(to, "://")
	dst := netip.MustParseAddrPort(rest)
	p := packet{proto: proto, dst: dst.Addr(), port: uint64(dst.Port())}
	pre := "OUTPUT"
	if from == "host" {
		p.src = sourceTowards(p.dst)
	} else {
		pre = "PREROUTING"
		p.src = netip.MustParseAddr(from)
		p.in = deviceTo(p.src)
	}
	ends := map[string]bool{}
	w.nat(pre, p, func(p packet) { ends[finish(w, p)] = true })
	var all []string
	for e := range ends {
		all = append(all, e)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// finish goes on behind the first nat chain: filter, then POSTROUTING.
func finish(w walker, p packet) string {
	hook := "FORWARD"
	if p.in == "" {
		hook = "OUTPUT"
	} else if isLocal(p.dst) {
		hook = "INPUT"
	}
	if hook != "INPUT" {
		p.out = deviceTo(p.dst)
	}
	verdict := w.filter(hook, &p)
	switch {
	case verdict == "REJECT":
		return refused
	case verdict == "DROP":
		return "dropped"
	case !p.dnat:
		return untouched
	case hook != "OUTPUT" && verdict != "ACCEPT" && p.in == testBridge, hook == "FORWARD" && verdict != "ACCEPT":
		return "left to others' rules" // Docker's policy for FORWARD is DROP
	}
	end := netip.AddrPortFrom(p.dst, uint16(p.port)).String() + "<-"
	if hook == "INPUT" {
		return end + p.src.String()
	}
	w.nat("POSTROUTING", p, func(q packet) { p = q })
	if p.out == "lo" {
		return end + "host"
	}
	return end + p.src.String()
}

func (tr *tracer) nat(hook string, p packet, end func(packet)) { tr.walk("nat", hook, p, end) }

func (tr *tracer) filter(hook string, p *packet) (verdict string) {
	tr.walk("filter", hook, *p, func(q packet) { *p = q }, &verdict)
	return verdict
}

// walk goes through our chain of a hook and calls end for each way out.
func (tr *tracer) walk(table, hook string, p packet, end func(packet), verdict ...*string) {
	chain := ChainPrefix("test") + hook
	if _, ok := tr.tables[table][chain]; !ok {
		tr.t.Fatalf("table %s has no chain %s", table, chain)
	}
	tr.chain(table, chain, 0, p, end, end, verdict)
}

// chain goes on from rule i. back is called where the chain returns, end where nothing more follows.
func (tr *tracer) chain(table, name string, i int, p packet, back, end func(packet), verdict []*string) {
	rules, ok := tr.tables[table][name]
	if !ok {
		tr.t.Fatalf("table %s has no chain %s", table, name)
	}
	if i == len(rules) {
		back(p)
		return
	}
	next := func(p packet) { tr.chain(table, name, i+1, p, back, end, verdict) }
	matched, maybe, target := tr.match(rules[i], p)
	if maybe || !matched {
		next(p)
	}
	if !matched {
		return
	}
	switch target[0] {
	case "DNAT":
		to := netip.MustParseAddrPort(target[2])
		p.dst, p.port, p.dnat = to.Addr(), uint64(to.Port()), true
		end(p)
	case "MASQUERADE":
		p.src = sourceTowards(p.dst)
		end(p)
	case "MARK":
		value, mask := maskOf(tr.t, target[2])
		p.mark = p.mark&^mask ^ value
		next(p)
	case "RETURN":
		back(p)
	case "ACCEPT", "DROP", "REJECT":
		*verdict[0] = target[0]
		end(p)
	default:
		tr.chain(table, target[0], 0, p, next, end, verdict)
	}
}

// match tells whether a rule applies, whether it may as well not (a random choice, an affinity that may be
// remembered), and what it does.
func (tr *tracer) match(words []string, p packet) (matched, maybe bool, target []string) {
	matched = true
	for i := 0; i < len(words); i++ {
		not := words[i] == "!"
		if not {
			i++
		}
		option, arg := words[i], ""
		if i+1 < len(words) {
			arg = words[i+1]
		}
		hit := true
		switch option {
		case "-j":
			return matched, maybe, words[i+1:]
		case "-i":
			hit = p.in == arg
		case "-o":
			hit = p.out == arg
		case "-p":
			hit = p.proto == arg
		case "-s":
			hit = netip.MustParsePrefix(arg).Contains(p.src)
		case "-d":
			hit = netip.MustParsePrefix(arg).Contains(p.dst)
		case "--dport":
			lo, hi, ok := strings.Cut(arg, ":")
			if !ok {
				hi = lo
			}
			hit = number(tr.t, lo) <= p.port && p.port <= number(tr.t, hi)
		case "--dst-type":
			hit = isLocal(p.dst)
		case "--src-type":
			hit = isLocal(p.src)
		case "--mark":
			value, mask := maskOf(tr.t, arg)
			hit = p.mark&mask == value
		case "--ctstate":
			hit = p.dnat && strings.Contains(arg, "DNAT") // neither invalid nor established
		case "--ctdir":
			hit = arg == "ORIGINAL"
		case "--probability":
			maybe = true
		case "--rcheck":
			maybe = true
			i--
		case "--set", "--reap":
			i--
		case "-m", "--comment", "--mode", "--name", "--seconds", "--icmpv6-type":
		default:
			tr.t.Fatalf("the tracer does not know %q in %v", option, words)
		}
		matched = matched && hit != not
		i++
	}
	tr.t.Fatalf("rule without a target: %v", words)
	return
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func maskOf(t *testing.T, s string) (value, mask uint64) {
	v, m, _ := strings.Cut(s, "/")
	return number(t, v), number(t, m)
}

func isLocal(a netip.Addr) bool {
	f := familyOf(a)
	return a.IsLoopback() || a.String() == f.text(gateway) || a.String() == f.text(hostOnLAN) || a.String() == f.text(nodeB)
}

// deviceTo is the world's routing table.
func deviceTo(a netip.Addr) string {
	switch {
	case isLocal(a):
		return "lo"
	case netip.MustParsePrefix(familyOf(a).text(gateway + "/16")).Contains(a), familyOf(a).settings().serviceCIDR.Contains(a):
		return testBridge
	}
	return "lan0"
}

// sourceTowards is the address that this machine uses when it has the choice.
func sourceTowards(a netip.Addr) netip.Addr {
	switch {
	case isLocal(a):
		return a
	case deviceTo(a) == testBridge:
		return netip.MustParseAddr(familyOf(a).text(gateway))
	}
	return netip.MustParseAddr(familyOf(a).text(hostOnLAN))
}
