package netproxy

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"
)

// A backend makes the kernel's rules of a description. Not safe for concurrent use.
type backend interface {
	// apply brings what changed to the kernel, or all of it where the kernel's state is unknown: at the start, where the
	// rules of a daemon that was killed may still work, after a failure, and after verify found damage. It returns the
	// number of nftables transactions that it took, which is what the kernel counts.
	apply(ctx context.Context, want *desired, c changes) (transactions uint32, err error)
	// verify compares the kernel's rules with those that were applied. It returns false where somebody changed them.
	verify(ctx context.Context) (whole bool, err error)
}

// repairs logs what other programs did to our rules, which are about to be repaired.
type repairs struct {
	log  *slog.Logger
	told map[string]time.Time // when the log last said it
}

// tellAgain is how long the log is spared what it says already: a firewall may load its rules every few seconds.
const tellAgain = time.Hour

// shadowing is what is said of rules in front of our jumps.
const shadowing = "other rules before the jump from "

func newRepairs(log *slog.Logger) repairs { return repairs{log, map[string]time.Time{}} }

// tell says once an hour what is wrong in a table of kind, which is iptables or nftables.
func (r repairs) tell(kind, table, what string) {
	level, message := slog.LevelWarn, fmt.Sprintf("another program changed kube-lite's %s rules: they are put back", kind)
	if strings.HasPrefix(what, shadowing) { // it belongs to making a network, and to a restart
		level, message = slog.LevelInfo, "Docker put its rules before kube-lite's: those go first again"
	}
	maps.DeleteFunc(r.told, func(_ string, at time.Time) bool { return time.Since(at) > tellAgain })
	if _, told := r.told[table+what]; told {
		level = slog.LevelDebug
	} else {
		r.told[table+what] = time.Now()
	}
	r.log.Log(context.Background(), level, message, "table", table, "found", what)
}
