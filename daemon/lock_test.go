package daemon

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	cfg, err := Config{Name: "t-unit", DataDir: filepath.Join(t.TempDir(), "data")}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestOneDaemonADataDirectory(t *testing.T) {
	cfg := testConfig(t)
	if _, running, err := Lookup(cfg); running || err != nil {
		t.Fatalf("before the first start: running %v, %v", running, err)
	}
	held, err := acquire(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, running, err := Lookup(cfg); !running || err != nil {
		t.Errorf("a daemon that has not described itself yet: running %v, %v", running, err)
	}
	if err := held.describe(Info{Name: cfg.Name, PID: 4242}); err != nil {
		t.Fatal(err)
	}
	if info, running, err := Lookup(cfg); !running || err != nil || info.PID != 4242 {
		t.Errorf("Lookup: %+v, running %v, %v", info, running, err)
	}
	_, err = acquire(cfg)
	if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), "4242") || !strings.Contains(err.Error(), cfg.DataDir) {
		t.Errorf("a second daemon: %v, want ErrRunning with the pid and the directory", err)
	}
	held.release()
	if _, running, err := Lookup(cfg); running || err != nil {
		t.Errorf("after the end: running %v, %v", running, err)
	}
	again, err := acquire(cfg)
	if err != nil {
		t.Fatalf("after the end: %v", err)
	}
	again.release()
}

func TestSettingsStayAsTheFirstStartSettledThem(t *testing.T) {
	cfg := testConfig(t)
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := settle(cfg, "machine", []netip.Prefix{defaultPodCIDR})
	if err != nil {
		t.Fatal(err)
	}
	if !first.fresh || first.PodCIDR.String() != "10.245.0.0/16" || first.ServiceCIDR != defaultServiceCIDR {
		t.Errorf("first start: %+v", first)
	}
	if err := first.save(cfg); err != nil {
		t.Fatal(err)
	}
	// By now this host routes the instance's own range.
	second, err := settle(cfg, "machine", []netip.Prefix{first.PodCIDR})
	if err != nil || second.fresh || second.PodCIDR != first.PodCIDR {
		t.Errorf("second start: %+v, %v", second, err)
	}
	other := cfg
	other.PodCIDRs.Four = netip.MustParsePrefix("10.9.0.0/16")
	if _, err := settle(other, "machine", nil); err == nil || !strings.Contains(err.Error(), "--pod-cidr 10.9.0.0/16") {
		t.Errorf("another range: %v, want a refusal", err)
	}
	other = cfg
	other.Name = "t-other"
	if _, err := settle(other, "machine", nil); err == nil || !strings.Contains(err.Error(), `"t-unit"`) {
		t.Errorf("another instance's directory: %v, want a refusal", err)
	}
}

func TestTheNodesNameStaysThoughTheMachinesChanges(t *testing.T) {
	cfg := testConfig(t)
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	start := func(cfg Config, host string) (string, error) {
		t.Helper()
		s, err := settle(cfg, host, nil)
		if err == nil {
			err = s.save(cfg)
		}
		return s.NodeName, err
	}
	for _, host := range []string{"Laptop.home", "laptop.office"} {
		if got, err := start(cfg, host); err != nil || got != "laptop.home" {
			t.Errorf("on the machine %s the node is %q, %v; want laptop.home", host, got, err)
		}
	}
	named := cfg
	named.NodeName = "laptop.home"
	if got, err := start(named, "elsewhere"); err != nil || got != "laptop.home" {
		t.Errorf("by its own name: %q, %v", got, err)
	}
	named.NodeName = "other"
	if _, err := start(named, "other"); err == nil || !strings.Contains(err.Error(), "--node-name other: this instance was made with the node laptop.home") {
		t.Errorf("by another name: %v, want a refusal", err)
	}
	if err := removeFiles(cfg, cfg.Log); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := start(named, "laptop"); err != nil || got != "other" {
		t.Errorf("a first start with --node-name: %q, %v", got, err)
	}
}

func TestRemovingKeepsFilesOfOthers(t *testing.T) {
	cfg := testConfig(t)
	for _, name := range []string{"pods/uid/volume", storeFile, kubeconfigFile, "thesis.txt"} {
		if err := os.MkdirAll(filepath.Dir(cfg.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cfg.path(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeFiles(cfg, cfg.Log); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(cfg.DataDir)
	if err != nil || len(left) != 1 || left[0].Name() != "thesis.txt" {
		t.Errorf("left: %v, %v; want thesis.txt alone", left, err)
	}
	if err := os.Remove(cfg.path("thesis.txt")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is no error
		if err := removeFiles(cfg, cfg.Log); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(cfg.DataDir); !os.IsNotExist(err) {
		t.Errorf("the empty directory stayed: %v", err)
	}
}

func TestInstancesAreFoundByTheirSettings(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{"blue/" + settingsFile, "green/" + settingsFile, "empty/thesis.txt"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := Names(root); !slices.Equal(got, []string{"blue", "green"}) {
		t.Errorf("found %q", got)
	}
	if got := Names(filepath.Join(root, "nowhere")); len(got) != 0 {
		t.Errorf("found %q nowhere", got)
	}
}
