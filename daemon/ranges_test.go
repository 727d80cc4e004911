package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// neighbourhood is a machine that routes nothing yet.
type neighbourhood struct {
	t          *testing.T
	path, root string
}

func newNeighbourhood(t *testing.T) neighbourhood {
	dir := t.TempDir()
	return neighbourhood{t: t, path: filepath.Join(dir, "instances"), root: filepath.Join(dir, "root")}
}

// instance is one with its data directory, below the root or elsewhere.
func (n neighbourhood) instance(name, parent string) Config {
	n.t.Helper()
	cfg, err := Config{Name: name, DataDir: filepath.Join(parent, name)}.WithDefaults()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	return cfg
}

func (n neighbourhood) settle(cfg Config) (settings, error) {
	return settleRanges(n.t.Context(), n.path, n.root, cfg, "machine", func() ([]netip.Prefix, error) { return nil, nil })
}

func TestInstancesThatStartAtOnceTakeDifferentRanges(t *testing.T) {
	n := newNeighbourhood(t)
	const count = 10
	got := make([]settings, count)
	errs := make([]error, count)
	var starts sync.WaitGroup
	for i := range count {
		parent := n.root
		if i%2 == 0 {
			parent = t.TempDir()
		}
		cfg := n.instance(fmt.Sprintf("t-%d", i), parent)
		starts.Go(func() { got[i], errs[i] = n.settle(cfg) })
	}
	starts.Wait()
	var used []netip.Prefix
	for i, s := range got {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		for _, p := range []netip.Prefix{s.PodCIDR, s.ServiceCIDR} {
			if overlapsAny(p, used) {
				t.Errorf("instance %d was given %s, which another one has", i, p)
			}
			used = append(used, p)
		}
	}
}

func TestAnInstanceThatIsStoppedKeepsItsRanges(t *testing.T) {
	n := newNeighbourhood(t)
	for _, parent := range []string{n.root, filepath.Join(t.TempDir(), "a directory")} {
		first := n.instance("t-first", parent)
		kept, err := n.settle(first)
		if err != nil {
			t.Fatal(err)
		}
		next := n.instance("t-next", t.TempDir())
		if s, err := n.settle(next); err != nil || s.ServiceCIDR == kept.ServiceCIDR || s.PodCIDR == kept.PodCIDR {
			t.Errorf("the next instance was given %+v, %v; the first one has %+v", s, err, kept)
		}
		if err := removeFiles(next, next.Log); err != nil {
			t.Fatal(err)
		}
		wants := n.instance("t-wants", t.TempDir())
		wants.ServiceCIDRs.Four = kept.ServiceCIDR
		if _, err := n.settle(wants); err == nil || !strings.Contains(err.Error(), `--service-cidr `+kept.ServiceCIDR.String()+`: the instance "t-first"`) {
			t.Errorf("asked for a range of another instance: %v, want a refusal that names it", err)
		}
		if err := removeFiles(first, first.Log); err != nil {
			t.Fatal(err)
		}
		if s, err := n.settle(wants); err != nil || s.ServiceCIDR != kept.ServiceCIDR {
			t.Errorf("after the reset of the first: %+v, %v; want its range", s, err)
		}
		if err := removeFiles(wants, wants.Log); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStartThatHangsWhileItChoosesHoldsOthersUntilTheirLimitOnly(t *testing.T) {
	n := newNeighbourhood(t)
	held, err := lockNeighbours(t.Context(), n.path, n.root, n.instance("t-hangs", n.root))
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = lockNeighbours(ctx, n.path, n.root, n.instance("t-waits", n.root))
	if err == nil || !strings.Contains(err.Error(), n.path) {
		t.Errorf("got %v, want an error that names the lock", err)
	}
}
