package netproxy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeKernel is iptables with tables in memory: a stateful stand-in for the programs.
type fakeKernel struct {
	tables map[string]map[string][]string // table, chain, rules
	texts  []string                       // every text that was restored
	fail   error                          // what the next restore fails with
}

func newFakeKernel() *fakeKernel {
	return &fakeKernel{tables: map[string]map[string][]string{
		"nat":    {"PREROUTING": nil, "INPUT": nil, "OUTPUT": nil, "POSTROUTING": nil},
		"filter": {"INPUT": nil, "FORWARD": {"-j DOCKER-USER"}, "OUTPUT": nil, "DOCKER-USER": {"-j RETURN"}},
	}}
}

func (k *fakeKernel) restore(_ context.Context, text []byte) error {
	if err := k.fail; err != nil {
		k.fail = nil
		return err
	}
	k.texts = append(k.texts, string(text))
	var table map[string][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		op, rest, _ := strings.Cut(line, " ")
		chain, rule, _ := strings.Cut(rest, " ")
		switch {
		case strings.HasPrefix(line, "*"):
			table = k.tables[line[1:]]
		case strings.HasPrefix(line, ":"):
			table[op[1:]] = nil
		case op == "-A":
			if _, ok := table[chain]; !ok {
				return errors.New("no chain " + chain)
			}
			table[chain] = append(table[chain], rule)
		case op == "-I":
			table[chain] = slices.Insert(table[chain], 0, strings.TrimPrefix(rule, "1 "))
		case op == "-D":
			i := slices.Index(table[chain], rule)
			if i < 0 {
				return errors.New("no rule " + rest)
			}
			table[chain] = slices.Delete(table[chain], i, i+1)
		case op == "-X":
			for other, rules := range table {
				if slices.ContainsFunc(rules, func(r string) bool { return strings.HasSuffix(r, "-j "+chain) }) {
					return errors.New("chain " + chain + " is in use by " + other)
				}
			}
			delete(table, chain)
		}
	}
	return nil
}

func (k *fakeKernel) save(_ context.Context, table string) ([]byte, error) {
	var b strings.Builder
	for chain := range k.tables[table] {
		b.WriteString(":" + chain + " - [0:0]\n")
	}
	for chain, rules := range k.tables[table] {
		for _, rule := range rules {
			b.WriteString("-A " + chain + " " + rule + "\n")
		}
	}
	return []byte(b.String()), nil
}

func (k *fakeKernel) applier() *applier {
	return &applier{run: k, prefix: ChainPrefix("test"), bridge: testBridge, told: newRepairs(slog.New(slog.DiscardHandler))}
}

func (a *applier) mustApply(t *testing.T, names ...string) {
	t.Helper()
	if _, err := a.apply(t.Context(), render(testSettings(), only(names...), nil)); err != nil {
		t.Fatal(err)
	}
}

func mustVerify(t *testing.T, a *applier, want bool) {
	t.Helper()
	if whole, err := a.verify(t.Context()); err != nil || whole != want {
		t.Errorf("verify: %v, %v; want %v", whole, err, want)
	}
}

func TestTheSecondTimeOnlyChangesAreSent(t *testing.T) {
	k := newFakeKernel()
	a := k.applier()
	a.mustApply(t, "web", "self")
	if len(k.texts) != 2 || !strings.HasPrefix(k.texts[0], "*filter") || !strings.HasPrefix(k.texts[1], "*nat") {
		t.Fatalf("first: %q", k.texts)
	}
	mustVerify(t, a, true)
	a.mustApply(t, "web", "self")
	if len(k.texts) != 2 {
		t.Errorf("nothing changed, and yet: %s", k.texts[2])
	}
	a.mustApply(t, "web", "self", "dns")
	if len(k.texts) != 3 || strings.Contains(k.texts[2], "10.96.0.3:8080") || !strings.Contains(k.texts[2], "default/dns:dns/udp") {
		t.Errorf("for one more Service: %q", k.texts[2:])
	}
	mustVerify(t, a, true)
}

func TestANewDaemonTakesOverAndRemovesWhatNobodyWants(t *testing.T) {
	k := newFakeKernel()
	k.applier().mustApply(t, "web", "self")
	k.texts = nil
	a := k.applier()
	a.mustApply(t, "web")
	if len(k.texts) != 2 {
		t.Errorf("want one transaction for each table, got %q", k.texts)
	}
	mustVerify(t, a, true)
	for chain := range k.tables["nat"] {
		if chain == servicePortChain(a.prefix, "SVC", &only("self")[0]) {
			t.Error("the chain of a Service that is gone is still there")
		}
	}
	if got := k.tables["nat"]["OUTPUT"]; !slices.Equal(got, []string{"-j " + a.prefix + "OUTPUT"}) {
		t.Errorf("jumps: %v", got)
	}
	if got := k.tables["filter"]["FORWARD"]; !slices.Equal(got, []string{"-j " + a.prefix + "FORWARD", "-j DOCKER-USER"}) {
		t.Errorf("others' rules: %v", got)
	}
}

func TestAFailureIsNotTakenForDone(t *testing.T) {
	k := newFakeKernel()
	a := k.applier()
	a.mustApply(t, "web")
	no := errors.New("the kernel says no")
	k.fail = no
	if _, err := a.apply(t.Context(), render(testSettings(), only("web", "self"), nil)); !errors.Is(err, no) {
		t.Fatalf("got %v", err)
	}
	a.mustApply(t, "web", "self")
	mustVerify(t, a, true)
	if !strings.Contains(k.texts[len(k.texts)-1], "default/web:http/tcp") {
		t.Error("after a failure, of which nobody knows what it left, not everything was sent")
	}
}

func TestDamageIsNoticed(t *testing.T) {
	prefix := ChainPrefix("test")
	for name, damage := range map[string]func(*fakeKernel){
		"chain flushed": func(k *fakeKernel) { k.tables["nat"][prefix+"SERVICES"] = nil },
		"chain removed": func(k *fakeKernel) { delete(k.tables["filter"], prefix+"OUTPUT") },
		"rule added": func(k *fakeKernel) {
			k.tables["nat"][prefix+"EXTERNAL"] = append(k.tables["nat"][prefix+"EXTERNAL"], "-j RETURN")
		},
		"chain added":  func(k *fakeKernel) { k.tables["nat"][prefix+"SVC-OLD"] = nil },
		"jump removed": func(k *fakeKernel) { k.tables["nat"]["POSTROUTING"] = nil },
		"Docker in front": func(k *fakeKernel) {
			k.tables["filter"]["FORWARD"] = slices.Insert(k.tables["filter"]["FORWARD"], 0, "-j DOCKER-FORWARD")
		},
		"Docker in front for another network": func(k *fakeKernel) {
			k.tables["filter"]["FORWARD"] = slices.Insert(k.tables["filter"]["FORWARD"], 0, "-j DOCKER-ISOLATION-STAGE-1")
		},
		"Docker in front for our bridge": func(k *fakeKernel) {
			k.tables["filter"]["FORWARD"] = slices.Insert(k.tables["filter"]["FORWARD"], 0, "-i "+testBridge+" -o "+testBridge+" -j ACCEPT")
		},
	} {
		k := newFakeKernel()
		a := k.applier()
		a.mustApply(t, "web")
		damage(k)
		if whole, err := a.verify(t.Context()); whole || err != nil {
			t.Errorf("%s: not noticed (%v)", name, err)
		}
		a.mustApply(t, "web")
		if whole, err := a.verify(t.Context()); !whole || err != nil {
			t.Errorf("%s: not repaired (%v)", name, err)
		}
	}
}

func TestOthersRulesAreNoDamage(t *testing.T) {
	k := newFakeKernel()
	a := k.applier()
	a.mustApply(t, "web")
	k.tables["filter"]["FORWARD"] = slices.Insert(k.tables["filter"]["FORWARD"], 0, "-j "+ChainPrefix("other")+"FORWARD", "-j DOCKER-USER", "-j cali-FORWARD")
	k.tables["nat"][ChainPrefix("other")+"OUTPUT"] = []string{"-j RETURN"}
	mustVerify(t, a, true)
}

func TestRemovingLeavesOthers(t *testing.T) {
	k := newFakeKernel()
	a := k.applier()
	a.mustApply(t, "web", "none")
	if err := a.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for table, chains := range newFakeKernel().tables {
		if len(k.tables[table]) != len(chains) {
			t.Errorf("table %s is left with %v", table, k.tables[table])
		}
		for chain, rules := range chains {
			if !slices.Equal(k.tables[table][chain], rules) {
				t.Errorf("table %s, chain %s is left with %v", table, chain, k.tables[table][chain])
			}
		}
	}
}

func TestTheLogSaysWhatOthersDidOnce(t *testing.T) {
	k := newFakeKernel()
	a := k.applier()
	var log strings.Builder
	a.told = newRepairs(slog.New(slog.NewTextHandler(&log, nil)))
	a.mustApply(t, "web")
	for name, damage := range map[string]struct {
		do   func()
		want string
	}{
		"a flush": {func() { k.tables["nat"]["OUTPUT"] = nil }, "level=WARN msg=\"another program changed kube-lite's iptables rules: they are put back\" table=nat found=\"no jump from OUTPUT\""},
		"Docker's restart": {func() {
			k.tables["filter"]["FORWARD"] = append([]string{"-i " + testBridge + " -j ACCEPT"}, k.tables["filter"]["FORWARD"]...)
		}, "level=INFO msg=\"Docker put its rules"},
	} {
		log.Reset()
		for range 3 {
			damage.do()
			if whole, err := a.verify(t.Context()); whole || err != nil {
				t.Errorf("%s: whole %v, %v", name, whole, err)
			}
			a.mustApply(t, "web")
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, damage.want) {
			t.Errorf("%s, three times: the log says\n%swant once %s", name, got, damage.want)
		}
	}
}

func TestAGateOpensSoonerForWhatCannotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(5 * time.Second)
		g.ask()
		<-g.timer.C
		g.pass()
		began := time.Now()
		g.ask()
		g.askWithin(time.Second)
		g.ask()
		<-g.timer.C
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited for %s", waited)
		}
	})
}
