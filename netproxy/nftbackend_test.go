package netproxy

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/knftables"
)

func newFakeNft() *knftables.Fake { return knftables.NewFake(knftables.IPv4Family, nftTable("test")) }

func onFake(fake *knftables.Fake) *nftBackend {
	return newNftBackend(fake, ipv4, "test", nil, slog.New(slog.DiscardHandler))
}

// brings has the backend apply the world's ports of some Services; what changed since is compared.
func brings(t *testing.T, b *nftBackend, names ...string) {
	t.Helper()
	want := desiredOf(testSettings(), only(names...), nil)
	changed := changes{services: map[types.NamespacedName]bool{}}
	for name := range b.services {
		changed.services[name] = true
	}
	for name := range want.services {
		changed.services[name] = true
	}
	if _, err := b.apply(t.Context(), want, changed); err != nil {
		t.Fatal(err)
	}
}

func wholeNft(t *testing.T, b *nftBackend, want bool) {
	t.Helper()
	if whole, err := b.verify(t.Context()); err != nil || whole != want {
		t.Errorf("verify: %v, %v; want %v", whole, err, want)
	}
}

func TestWithNftablesAChangeIsElementsOfMaps(t *testing.T) {
	fake := newFakeNft()
	b := onFake(fake)
	services, slices := thousand(200)
	want := desiredOf(testSettings(), snapshot(services, slices, oneNode("n1")), nil)
	if _, err := b.apply(t.Context(), want, changes{}); err != nil {
		t.Fatal(err)
	}
	var changed changes
	slices[100].Endpoints[2].Addresses[0] = "10.244.200.2"
	want.setService(types.NamespacedName{Namespace: "default", Name: "svc-100"}, portsOf(services[100], slices[100:101], oneNode("n1")), &changed)
	if n, err := b.apply(t.Context(), want, changed); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	text := fake.LastTransaction.String()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "add element ") && !strings.HasPrefix(line, "delete element ") {
			t.Errorf("more than elements: %s", line)
		}
	}
	// One of a ClusterIP and of a NodePort goes and comes, and so does the hairpin.
	if n := strings.Count(text, "\n"); n != 6 {
		t.Errorf("%d lines for one endpoint:\n%s", n, text)
	}
	before := fake.LastTransaction
	if n, err := b.apply(t.Context(), want, changes{}); err != nil || n != 0 || fake.LastTransaction != before {
		t.Errorf("nothing changed, and yet: %d, %v", n, err)
	}
}

func TestWithNftablesChangesEndWhereAFreshTableBegins(t *testing.T) {
	services, eps := thousand(30)
	random := rand.New(rand.NewPCG(5, 6))
	fake := newFakeNft()
	b, want := onFake(fake), newDesired(testSettings())
	for step := range 200 {
		i := random.IntN(len(services))
		switch random.IntN(6) {
		case 0:
			eps[i].Endpoints[0].Addresses[0] = endpointAddress(random.IntN(200))
		case 1:
			eps[i].Endpoints[0].Conditions.Ready = ptr.To(random.IntN(2) == 0)
		case 2:
			services[i].Spec.Ports[0].NodePort = int32(random.IntN(2) * (31000 + step))
		case 3:
			services[i].Spec.ExternalIPs = []string{fmt.Sprintf("203.0.113.%d", random.IntN(3))} // several want one
		case 4:
			services[i].Spec.SessionAffinity = []corev1.ServiceAffinity{"None", "ClientIP"}[random.IntN(2)]
		case 5:
			services[i].Spec.ExternalTrafficPolicy = []corev1.ServiceExternalTrafficPolicy{"Cluster", "Local"}[random.IntN(2)]
		}
		var changed changes
		want.setService(types.NamespacedName{Namespace: "default", Name: services[i].Name}, portsOf(services[i], eps[i:i+1], oneNode("n1")), &changed)
		if _, err := b.apply(t.Context(), want, changed); err != nil {
			t.Fatal(err)
		}
		wholeNft(t, b, true)
		fresh := newFakeNft()
		if _, err := onFake(fresh).apply(t.Context(), want, changes{}); err != nil {
			t.Fatal(err)
		}
		if got, want := inUse(fake), inUse(fresh); got != want {
			t.Fatalf("step %d: %s", step, difference(got, want))
		}
	}
}

// inUse are the lines of a table but for chains that nothing leads to any more, and endpoint maps that have been emptied.
func inUse(fake *knftables.Fake) string {
	var lines []string
	for line := range strings.Lines(fake.Dump()) {
		words := strings.Fields(line)
		if words[1] == "chain" || words[1] == "map" || words[1] == "rule" && strings.Contains(words[4], "-endpoint-") {
			continue
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// difference are the lines that only one text has.
func difference(got, want string) string {
	var b strings.Builder
	for line := range strings.Lines(got) {
		if !strings.Contains(want, line) {
			b.WriteString("too much: " + line)
		}
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			b.WriteString("missing: " + line)
		}
	}
	return b.String()
}

func TestWithNftablesANewDaemonTakesOver(t *testing.T) {
	fake := newFakeNft()
	brings(t, onFake(fake), "web", "sticky", "ranged")
	for name, set := range fake.Table.Sets {
		if strings.HasPrefix(name, "clients-") {
			set.Elements = append(set.Elements, &knftables.Element{Set: name, Key: []string{podB}})
		}
	}
	b := onFake(fake)
	brings(t, b, "sticky")
	wholeNft(t, b, true)
	remembered := 0
	for name, set := range fake.Table.Sets {
		if strings.HasPrefix(name, "clients-") {
			remembered += len(set.Elements)
		}
	}
	if remembered != 2 {
		t.Errorf("of two clients with affinity %d are remembered", remembered)
	}
	brings(t, b, "sticky", "self") // what nothing leads to goes with the next change
	for name := range fake.Table.Chains {
		if _, wanted := b.chains[name]; !wanted {
			t.Errorf("chain %s is still there", name)
		}
	}
	brings(t, b)
	for name := range fake.Table.Sets {
		if strings.HasPrefix(name, "clients-") {
			t.Errorf("set %s is still there", name)
		}
	}
}

func TestWithNftablesATableThatIsInTheWayIsMadeAnew(t *testing.T) {
	fake := newFakeNft()
	tx := fake.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Add(&knftables.Chain{Name: nftServices})
	tx.Add(&knftables.Map{Name: "old", Type: "ipv4_addr : verdict"})
	if err := fake.Run(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	b := onFake(fake)
	b.anew = true // as after a transaction that failed
	brings(t, b, "web")
	wholeNft(t, b, true)
	if fake.Table.Maps["old"] != nil {
		t.Error("the old table is still there")
	}
}

func TestWithNftablesDamageIsNoticed(t *testing.T) {
	for name, damage := range map[string]func(*knftables.Fake){
		"table removed": func(f *knftables.Fake) { f.Table = nil; delete(f.Tables, knftables.IPv4Family) },
		"chain flushed": func(f *knftables.Fake) { f.Table.Chains[nftServices].Rules = nil },
		"rule added": func(f *knftables.Fake) {
			c := f.Table.Chains[nftServices]
			c.Rules = append(c.Rules, &knftables.Rule{Chain: nftServices, Rule: "return"})
		},
		"chain added": func(f *knftables.Fake) {
			f.Table.Chains["mine"] = &knftables.FakeChain{Rules: []*knftables.Rule{{Chain: "mine", Rule: "return"}}}
		},
		"map removed":        func(f *knftables.Fake) { delete(f.Table.Maps, nftHostPods) },
		"element removed":    func(f *knftables.Fake) { f.Table.Maps[nftNodePorts].Elements = nil },
		"element redirected": func(f *knftables.Fake) { f.Table.Maps[nftNodePorts].Elements[0].Value = []string{"drop"} },
		"hairpin removed":    func(f *knftables.Fake) { f.Table.Sets[nftHairpins].Elements = nil },
	} {
		fake := newFakeNft()
		b := onFake(fake)
		brings(t, b, "web")
		wholeNft(t, b, true)
		before := fake.Dump()
		damage(fake)
		if whole, err := b.verify(t.Context()); whole || err != nil {
			t.Errorf("%s: not noticed (%v)", name, err)
		}
		brings(t, b, "web")
		wholeNft(t, b, true)
		if name != "chain added" && len(fake.Dump()) != len(before) {
			t.Errorf("%s: repaired to\n%s\nwas\n%s", name, fake.Dump(), before)
		}
	}
}

func TestOfTwoServicesWithOneExternalIPTheFirstHasIt(t *testing.T) {
	want := newDesired(testSettings())
	b := onFake(newFakeNft())
	set := func(name, endpoint string) {
		s := svc(name, "10.96.1."+name, "80/TCP")
		s.Spec.ExternalIPs = []string{"203.0.113.7"}
		var changed changes
		want.setService(types.NamespacedName{Namespace: "default", Name: name}, portsOf(s, []*discoveryv1.EndpointSlice{slice(name, ports("8080/TCP"), endpoint)}, oneNode("n1")), &changed)
		if endpoint == "" {
			want.setService(types.NamespacedName{Namespace: "default", Name: name}, nil, &changed)
		}
		if _, err := b.apply(t.Context(), want, changed); err != nil {
			t.Fatal(err)
		}
	}
	answers := func() string {
		text, passes := b.nft.(*knftables.Fake).Dump(), ruleset{"filter": filterChains(testSettings())}
		return trace(newNftTracer(t, text, newTracer(t, passes.String())), "host", "tcp://203.0.113.7:80")
	}
	for _, step := range []struct{ name, endpoint, want string }{
		{"2", podB, "10.244.0.3:8080<-10.244.0.1"},
		{"1", podA, "10.244.0.2:8080<-10.244.0.1"},
		{"3", podB, "10.244.0.2:8080<-10.244.0.1"},
		{"1", "", "10.244.0.3:8080<-10.244.0.1"},
	} {
		set(step.name, step.endpoint)
		if got := answers(); got != step.want {
			t.Errorf("after %v: %s", step, got)
		}
	}
}
