package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newMachine has a resolver of the test's own.
func newMachine(t *testing.T) (root, resolvConf string) {
	root = t.TempDir()
	resolvConf = filepath.Join(root, "etc/resolv.conf")
	if err := os.MkdirAll(filepath.Dir(resolvConf), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(resolvConf, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root, resolvConf
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHostDNSIsWantedUntilItIsDisabled(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may change the machine's resolver")
	}
	root, resolvConf := newMachine(t)
	before := text(t, resolvConf)
	cfg := Config{Name: "t-dns", DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), root: root}
	if _, err := EnableHostDNS(t.Context(), cfg); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("an instance that does not run: %v", err)
	}
	held, err := acquire(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	describe := func(info Info) {
		info.Name, info.DNS = cfg.Name, "10.244.0.1:53"
		if err := held.describe(info); err != nil {
			t.Fatal(err)
		}
	}
	describe(Info{Stopping: true})
	if _, err := EnableHostDNS(t.Context(), cfg); !errors.Is(err, ErrNotRunning) {
		t.Errorf("an instance that stops: %v", err)
	}
	describe(Info{Ready: true})
	if how, err := EnableHostDNS(t.Context(), cfg); how != "/etc/resolv.conf" || err != nil {
		t.Fatalf("enable: %q, %v", how, err)
	}
	enabled := text(t, resolvConf)

	if err := disableHostDNS(t.Context(), cfg); err != nil { // a stop
		t.Fatal(err)
	}
	if wanted, how, err := HostDNS(t.Context(), cfg); !wanted || how != "" || err != nil || text(t, resolvConf) != before {
		t.Errorf("after a stop: wanted %v, by %q, %v: %s", wanted, how, err, text(t, resolvConf))
	}
	d := &daemon{cfg: cfg}
	d.enableHostDNS(t.Context(), netip.MustParseAddrPort("10.244.0.1:53"))
	if got := text(t, resolvConf); got != enabled {
		t.Errorf("after a start: %s", got)
	}
	if had, note, err := DisableHostDNS(t.Context(), cfg); !had || note != "" || err != nil || text(t, resolvConf) != before {
		t.Errorf("disable: %v, %q, %v: %s", had, note, err, text(t, resolvConf))
	}
	d.enableHostDNS(t.Context(), netip.MustParseAddrPort("10.244.0.1:53"))
	if got := text(t, resolvConf); got != before {
		t.Errorf("a start after disable: %s", got)
	}
}

func TestOneChangeOfTheResolverAtATime(t *testing.T) {
	root, _ := newMachine(t)
	cfg := Config{root: root}
	unlock, err := cfg.lockHostDNS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := cfg.lockHostDNS(ctx); err == nil || !strings.Contains(err.Error(), filepath.Join(root, hostDNSLock)) {
		t.Errorf("beside the first: %v, want an error that names the lock", err)
	}
	unlock()
	if unlock, err = cfg.lockHostDNS(t.Context()); err != nil {
		t.Fatal(err)
	}
	unlock()
}
