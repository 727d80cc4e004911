package netproxy

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

// nftTracer follows packets through the text of a table of nftables, as tracer does through that of iptables.
type nftTracer struct {
	t      *testing.T
	chains map[string][][]string          // rules as words
	maps   map[string]map[string][]string // and sets
	passes *tracer                        // what iptables accepts beside it
}

// newNftTracer reads what Fake.Dump returns.
func newNftTracer(t *testing.T, dump string, passes *tracer) *nftTracer {
	tr := &nftTracer{t: t, chains: map[string][][]string{}, maps: map[string]map[string][]string{}, passes: passes}
	for line := range strings.Lines(dump) {
		words := strings.Fields(line)
		switch {
		case len(words) < 5 || words[0] != "add":
		case words[1] == "chain":
			tr.chains[words[4]] = nil
		case words[1] == "map" || words[1] == "set":
			tr.maps[words[4]] = map[string][]string{}
		case words[1] == "rule":
			tr.chains[words[4]] = append(tr.chains[words[4]], words[5:])
		case words[1] == "element":
			key, value := words[6:len(words)-1], []string(nil)
			if i := slices.Index(key, ":"); i >= 0 {
				key, value = key[:i], key[i+1:]
			}
			if i := slices.Index(key, "comment"); i >= 0 {
				key = key[:i]
			}
			tr.maps[words[4]][strings.Join(key, " ")] = value
		}
	}
	return tr
}

func (tr *nftTracer) nat(hook string, p packet, end func(packet)) {
	tr.chain("nat-"+strings.ToLower(hook), 0, p, end, func(p packet, _ string) { end(p) })
}

func (tr *nftTracer) filter(hook string, p *packet) (verdict string) {
	tr.chain("filter-"+strings.ToLower(hook), 0, *p, func(packet) {}, func(_ packet, v string) { verdict = v })
	if verdict == "" && hook != "OUTPUT" {
		verdict = tr.passes.filter(hook, p)
	}
	return verdict
}

// outcome is what a rule does to a packet that it matches.
type outcome struct {
	p       packet
	verdict []string // empty: on to the next rule
}

func (tr *nftTracer) chain(name string, i int, p packet, back func(packet), end func(packet, string)) {
	rules, ok := tr.chains[name]
	if !ok {
		tr.t.Fatalf("no chain %s", name)
	}
	if i == len(rules) {
		back(p)
		return
	}
	next := func(p packet) { tr.chain(name, i+1, p, back, end) }
	outcomes := tr.rule(rules[i], p)
	if len(outcomes) == 0 {
		next(p)
	}
	for _, o := range outcomes {
		switch verdict := append(o.verdict, ""); verdict[0] {
		case "":
			next(o.p)
		case "goto":
			tr.chain(verdict[1], 0, o.p, back, end)
		case "jump":
			tr.chain(verdict[1], 0, o.p, next, end)
		case "return":
			back(o.p)
		default:
			end(o.p, map[string]string{"drop": "DROP", "reject": "REJECT"}[verdict[0]])
		}
	}
}

// rule returns nothing where it does not match, and one outcome for each random choice.
func (tr *nftTracer) rule(words []string, p packet) []outcome {
	has := func(prefix string) bool {
		if !strings.HasPrefix(strings.Join(words, " ")+" ", prefix+" ") {
			return false
		}
		words = words[len(strings.Fields(prefix)):]
		return true
	}
	take := func() string {
		w := words[0]
		words = words[1:]
		return w
	}
	for len(words) > 0 {
		hit := true
		switch {
		case has("iifname !="):
			hit = take() != quoted(p.in)
		case has("oifname !="):
			hit = take() != quoted(p.out)
		case has("ip6 daddr !="):
			hit = take() != p.dst.String()
		case has("iifname"):
			hit = take() == quoted(p.in)
		case has("fib daddr type local"):
			hit = isLocal(p.dst)
		case has("fib saddr type local"):
			hit = isLocal(p.src)
		case has("ct status and dnat != dnat"):
			hit = !p.dnat
		case has("ct status dnat"):
			hit = p.dnat
		case has("ct state"):
			hit = slices.Contains(strings.Split(take(), ","), "new")
		case has("meta mark set meta mark or"):
			p.mark |= number(tr.t, take())
		case has("meta mark set meta mark xor"):
			p.mark ^= number(tr.t, take())
		case has("meta mark and"):
			masked, not := p.mark&number(tr.t, take()), take() == "!="
			hit = (masked == number(tr.t, take())) != not
		case has("update"):
			words = words[5:] // @clients-… { ip saddr }
		case has("masquerade"):
			p.src = sourceTowards(p.dst)
			return []outcome{{p, []string{"masquerade"}}}
		case has("dnat ip to"), has("dnat ip6 to"):
			return tr.dnat(words, p)
		case slices.Contains([]string{"goto", "jump", "return", "drop", "reject"}, words[0]):
			return []outcome{{p, words}}
		default:
			var out []outcome
			var done bool
			if hit, done, words, out = tr.key(words, p); done {
				return out
			}
		}
		if !hit {
			return nil
		}
	}
	return []outcome{{p, nil}}
}

// fields reads expressions that are joined by dots. More than one value: a random choice.
func (tr *nftTracer) fields(words []string, p packet) (keys, rest []string) {
	keys = []string{""}
	for {
		var values []string
		switch strings.Join(words[:2], " ") {
		case "ip saddr", "ip6 saddr":
			values, words = []string{p.src.String()}, words[2:]
		case "ip daddr", "ip6 daddr":
			values, words = []string{p.dst.String()}, words[2:]
		case "meta l4proto":
			values, words = []string{p.proto}, words[2:]
		case "th dport":
			values, words = []string{strconv.FormatUint(p.port, 10)}, words[2:]
		case "numgen random":
			for i := range number(tr.t, words[3]) {
				values = append(values, strconv.FormatUint(i, 10))
			}
			words = words[4:]
		default:
			tr.t.Fatalf("the tracer does not know %q", words)
		}
		var longer []string
		for _, k := range keys {
			for _, v := range values {
				longer = append(longer, k+v)
			}
		}
		keys = longer
		if len(words) == 0 || words[0] != "." {
			return keys, words
		}
		words = words[1:]
		for i := range keys {
			keys[i] += " . "
		}
	}
}

// key looks fields up in a map, a set or a list. done: the rule is decided.
func (tr *nftTracer) key(words []string, p packet) (hit, done bool, rest []string, out []outcome) {
	keys, words := tr.fields(words, p)
	table := map[string][]string{}
	of := words[0]
	if of == "vmap" {
		words = words[1:]
	}
	switch {
	case words[0] == "{":
		end := slices.Index(words, "}")
		for _, item := range strings.Split(strings.Join(words[1:end], " "), ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(item), " : ")
			table[key] = strings.Fields(value)
		}
		words = words[end+1:]
	case words[0][0] == '@':
		table, words = tr.maps[words[0][1:]], words[1:]
		if table == nil {
			tr.t.Fatalf("no map for %v", words)
		}
	default:
		table[words[0]], words = nil, words[1:]
	}
	if of != "vmap" {
		return tr.contains(table, keys[0]), false, words, nil
	}
	for _, k := range keys {
		if verdict, ok := table[k]; ok {
			out = append(out, outcome{p, verdict})
		}
	}
	return false, true, nil, out
}

func (tr *nftTracer) contains(table map[string][]string, key string) bool {
	if _, ok := table[key]; ok {
		return true
	}
	addr, err := netip.ParseAddr(key)
	for text := range table {
		if prefix, bad := netip.ParsePrefix(text); err == nil && bad == nil && prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func (tr *nftTracer) dnat(words []string, p packet) (out []outcome) {
	to := func(text string) {
		at := netip.MustParseAddrPort(text)
		q := p
		q.dst, q.port, q.dnat = at.Addr(), uint64(at.Port()), true
		out = append(out, outcome{q, []string{"dnat"}})
	}
	if len(words) == 1 {
		to(words[0])
		return out
	}
	keys, words := tr.fields(words, p)
	for _, k := range keys {
		value, ok := tr.maps[words[1][1:]][k]
		if !ok {
			tr.t.Fatalf("%s has no %s", words[1], k)
		}
		to(net.JoinHostPort(value[0], value[2])) // with a dot between them
	}
	return out
}

// nftText is the whole table for what is wanted, and what is left to iptables beside it.
func nftText(t *testing.T, want *desired) (string, ruleset) {
	f := want.settings.family
	fake := knftables.NewFake(f.nftables(), nftTable("test"))
	if _, err := newNftBackend(fake, f, "test", nil, slog.New(slog.DiscardHandler)).apply(t.Context(), want, changes{all: true}); err != nil {
		t.Fatal(err)
	}
	return fake.Dump(), nftBeside(want)
}
