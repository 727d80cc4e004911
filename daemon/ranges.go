package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// neighboursFile names the data directories of this machine's instances, one a line. Whoever holds its lock chooses
// address ranges. It is not below DefaultRoot, which goes with the last instance: a lock has to stay where it is.
const neighboursFile = "/run/kube-lite.instances"

// neighbours are the other instances of this machine, running or not: those that started since the machine did, and
// those in the default place. Their ranges are taken though no route leads there yet, or any more.
type neighbours struct {
	file *os.File
	dirs []string // data directories that hold an instance; cfg's own is not among them
	have []settings
}

// lockNeighbours waits until no other start is choosing ranges. The caller calls release.
func lockNeighbours(ctx context.Context, path, root string, cfg Config) (*neighbours, error) {
	file, err := waitForLock(ctx, path, "another instance's start has been choosing its address ranges")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("the list of this machine's instances: %w", err)
	}
	n := &neighbours{file: file}
	inRoot, _ := filepath.Glob(filepath.Join(root, "*")) // the pattern is good
	dirs := append(strings.Split(string(text), "\n"), inRoot...)
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		s, found, err := loadSettings(Config{DataDir: dir})
		if dir == "" || dir == cfg.DataDir || err != nil || !found {
			continue // reset, or of no use to its own start either
		}
		n.dirs, n.have = append(n.dirs, dir), append(n.have, s)
	}
	return n, nil
}

// release gives the lock back.
func (n *neighbours) release() { _ = n.file.Close() }

// add writes the list with one more data directory.
func (n *neighbours) add(dir string) error {
	text := strings.Join(append(slices.Clone(n.dirs), dir), "\n") + "\n"
	if err := n.file.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", n.file.Name(), err)
	}
	if _, err := n.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("write %s: %w", n.file.Name(), err)
	}
	return nil
}

// ranges are those that neighbours hold.
func (n *neighbours) ranges() (used []netip.Prefix) {
	for _, s := range n.have {
		used = append(used, s.PodCIDR, s.ServiceCIDR, s.PodCIDR6, s.ServiceCIDR6)
	}
	return used
}

// free returns an error if a neighbour holds a part of what the user wants for a new instance.
func (n *neighbours) free(flag string, want netip.Prefix) error {
	for _, s := range n.have {
		if want.IsValid() && overlapsAny(want, []netip.Prefix{s.PodCIDR, s.ServiceCIDR, s.PodCIDR6, s.ServiceCIDR6}) {
			pods, services := s.texts()
			return fmt.Errorf("%s %s: the instance %q holds addresses of it (pods %s, Services %s): choose another range, or reset that instance", flag, want, s.Name, pods, services)
		}
	}
	return nil
}

// settleRanges settles the instance's settings and writes them down before any other instance chooses.
func settleRanges(ctx context.Context, path, root string, cfg Config, host string, routed func() ([]netip.Prefix, error)) (settings, error) {
	n, err := lockNeighbours(ctx, path, root, cfg)
	if err != nil {
		return settings{}, err
	}
	defer n.release()
	used, err := routed()
	if err != nil {
		return settings{}, err
	}
	s, err := settle(cfg, host, append(used, n.ranges()...))
	if err != nil {
		return s, err
	}
	if s.fresh {
		if err := errors.Join(
			n.free("--pod-cidr", cfg.PodCIDRs.Four), n.free("--pod-cidr", cfg.PodCIDRs.Six),
			n.free("--service-cidr", cfg.ServiceCIDRs.Four), n.free("--service-cidr", cfg.ServiceCIDRs.Six)); err != nil {
			return s, err
		}
	}
	if err := s.save(cfg); err != nil {
		return s, err
	}
	return s, n.add(cfg.DataDir)
}
