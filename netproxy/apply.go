package netproxy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"
)

// applier makes the kernel's rules equal to a ruleset. Not safe for concurrent use.
type applier struct {
	run    runner
	jumps  jumper
	prefix string // of the names of the chains that are ours
	bridge string
	log    *slog.Logger

	// applied is what the kernel was last given, by table. A table that is missing has an unknown state:
	// at the start, where the chains of a daemon that was killed may still work, and after a failure.
	applied ruleset
	told    map[string]time.Time // when the log last said what others had done
}

// jump is a rule in a built-in chain that leads to the chain of ours with the same name.
type jump struct{ table, chain string }

func jumps() []jump {
	return []jump{
		{"filter", "INPUT"}, {"filter", "FORWARD"}, {"filter", "OUTPUT"},
		{"nat", "PREROUTING"}, {"nat", "OUTPUT"}, {"nat", "POSTROUTING"},
	}
}

// apply sends what differs from the last time, one transaction per table. Where the kernel's state is unknown it
// sends everything, removes chains that nobody wants any more, and sees to the jumps: traffic never finds a gap.
// It returns the number of transactions that it took, which is what the kernel counts.
func (a *applier) apply(ctx context.Context, want ruleset) (transactions uint32, err error) {
	if a.applied == nil {
		a.applied = ruleset{}
	}
	for _, table := range tables() {
		have, known := a.applied[table]
		var found tableState
		if !known {
			saved, err := a.run.save(ctx, table)
			if err != nil {
				return transactions, err
			}
			found = a.parse(saved)
		}
		delete(a.applied, table)
		if text := restoreText(table, have, want[table], found.names()); text != nil {
			if err := a.run.restore(ctx, text); err != nil {
				return transactions, fmt.Errorf("writing table %s: %w", table, err)
			}
			transactions++
		}
		if !known {
			n, err := a.placeJumps(table, found)
			transactions += n
			if err != nil {
				return transactions, err
			}
		}
		a.applied[table] = want[table]
	}
	return transactions, nil
}

// placeJumps adds the jumps that are missing, and puts first those that others pushed down.
func (a *applier) placeJumps(table string, found tableState) (transactions uint32, err error) {
	for _, j := range jumps() {
		if j.table != table || found.jumps[j.chain] > 0 && !found.shadowed[j.chain] {
			continue
		}
		to := a.prefix + j.chain
		if found.jumps[j.chain] > 0 {
			if err := a.jumps.DeleteIfExists(table, j.chain, "-j", to); err != nil {
				return transactions, fmt.Errorf("moving the jump from %s to %s: %w", j.chain, to, err)
			}
			transactions++
		}
		if err := a.jumps.InsertUnique(table, j.chain, 1, "-j", to); err != nil {
			return transactions, fmt.Errorf("adding the jump from %s to %s: %w", j.chain, to, err)
		}
		transactions++
	}
	return transactions, nil
}

// verify compares the kernel's rules with what was applied. Where somebody changed them, the state becomes unknown,
// so that the next apply repairs it, and verify returns false. Rules are counted, not read: what iptables-save
// prints differs between versions, and the cases to notice are flushes and removals.
func (a *applier) verify(ctx context.Context) (bool, error) {
	whole := true
	for _, table := range tables() {
		want, known := a.applied[table]
		if !known {
			whole = false
			continue
		}
		saved, err := a.run.save(ctx, table)
		if err != nil {
			return whole, err
		}
		if what := a.parse(saved).differs(table, want); what != "" {
			a.tell(table, what)
			delete(a.applied, table)
			whole = false
		}
	}
	return whole, nil
}

// tellAgain is how long the log is spared what it says already: a firewall may load its rules every few seconds.
const tellAgain = time.Hour

// tell logs what another program did to our rules, which are about to be repaired.
func (a *applier) tell(table, what string) {
	level, message := slog.LevelWarn, "another program changed kube-lite's iptables rules: they are put back"
	if strings.HasPrefix(what, shadowing) { // it belongs to making a network, and to a restart
		level, message = slog.LevelInfo, "Docker put its rules before kube-lite's: those go first again"
	}
	maps.DeleteFunc(a.told, func(_ string, at time.Time) bool { return time.Since(at) > tellAgain })
	if _, told := a.told[table+what]; told {
		level = slog.LevelDebug
	} else if a.told == nil {
		a.told = map[string]time.Time{table + what: time.Now()}
	} else {
		a.told[table+what] = time.Now()
	}
	a.log.Log(context.Background(), level, message, "table", table, "found", what)
}

// shadowing is what differs says of rules in front of our jumps.
const shadowing = "other rules before the jump from "

// tableState is what iptables-save tells about our part of a table.
type tableState struct {
	rules    map[string]int  // how many rules each of our chains has
	jumps    map[string]int  // how many jumps to us each built-in chain has
	shadowed map[string]bool // built-in chains where rules before our jump take its packets away
}

// parse reads the output of iptables-save -t.
func (a *applier) parse(saved []byte) tableState {
	state := tableState{rules: map[string]int{}, jumps: map[string]int{}, shadowed: map[string]bool{}}
	for line := range bytes.Lines(saved) {
		text := strings.TrimSpace(string(line))
		if name, ok := strings.CutPrefix(text, ":"); ok {
			if name, _, _ = strings.Cut(name, " "); strings.HasPrefix(name, a.prefix) {
				state.rules[name] += 0
			}
			continue
		}
		rest, ok := strings.CutPrefix(text, "-A ")
		if !ok {
			continue
		}
		chain, rule, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(chain, a.prefix) {
			state.rules[chain]++
		} else if rule == "-j "+a.prefix+chain {
			state.jumps[chain]++
		} else if chain == "FORWARD" && state.jumps[chain] == 0 && a.shadows(rule) {
			state.shadowed[chain] = true
		}
	}
	return state
}

// shadows tells whether a rule of FORWARD in front of our jump takes its packets away. Docker puts its rules for a
// bridge first when it makes the bridge's network and when it starts; the newer ones drop what goes to a container's
// port that is not published. What it puts first for any network drops what goes from one network to another, and so
// from a container to a Pod's hostPort. Nothing else is overtaken, so as not to fight over the first place.
func (a *applier) shadows(rule string) bool {
	return strings.Contains(rule, "-j DOCKER-ISOLATION-STAGE-1") || strings.Contains(rule, "-j DOCKER-FORWARD") ||
		strings.Contains(rule, "-i "+a.bridge+" ") || strings.Contains(rule, "-o "+a.bridge+" ")
}

func (t tableState) names() []string {
	var names []string
	for name := range t.rules {
		names = append(names, name)
	}
	return names
}

// differs says in a few words what is not as it should be, or nothing.
func (t tableState) differs(table string, want chains) string {
	for _, j := range jumps() {
		if j.table == table && t.jumps[j.chain] == 0 {
			return "no jump from " + j.chain
		}
		if j.table == table && t.shadowed[j.chain] {
			return shadowing + j.chain
		}
	}
	for name, rules := range want {
		if n, ok := t.rules[name]; !ok {
			return "no chain " + name
		} else if n != len(rules) {
			return fmt.Sprintf("%d rules instead of %d in chain %s", n, len(rules), name)
		}
	}
	if len(t.rules) != len(want) {
		return "chains that nobody asked for"
	}
	return ""
}
