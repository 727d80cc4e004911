package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestFailedStartShowsTheLogOnlyIfItSaysMore(t *testing.T) {
	const steps = "time=2026-01-01T00:00:00Z level=INFO msg=started step=Docker\n"
	failure := errors.New("port 6443 is taken: choose another with --api-port")
	for name, test := range map[string]struct {
		logged string
		shown  bool
	}{
		"nothing":             {"", false},
		"steps and the error": {steps + "kube-lite: " + failure.Error() + "\n", false},
		"a warning":           {steps + "time=2026-01-01T00:00:00Z level=WARN msg=\"disk is slow\"\nkube-lite: " + failure.Error() + "\n", true},
		"a panic":             {steps + "panic: runtime error\n\ngoroutine 1 [running]:\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			const earlier = "panic: in another start\n"
			log := logFile(t, earlier+test.logged)
			got := withTail(failure, log, int64(len(earlier))).Error()
			if !strings.HasPrefix(got, failure.Error()) {
				t.Errorf("the error is lost in %q", got)
			}
			if shown := strings.Contains(got, "the end of its log:"); shown != test.shown {
				t.Errorf("log is shown: %v, want %v: %q", shown, test.shown, got)
			}
			if strings.Contains(got, "another start") {
				t.Errorf("an earlier start is shown: %q", got)
			}
		})
	}
}

func logFile(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "daemon.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// The daemon runs in another directory.
func TestFlagsAreHandedOnWithWholePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	app := &cli.App{Flags: daemonFlags(), Action: func(c *cli.Context) (err error) { got, err = flagsSet(c); return err }}
	if err := app.Run([]string{"start", "--api-port=7000", "--audit-policy", "audit/policy", "--audit-log=-", "--dns-hosts=names", "--dns-hosts=/etc/more",
		"--nodeport-addresses=10.0.0.0/8", "--proxy-mode", "iptables"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"--api-port=7000", "--nodeport-addresses=10.0.0.0/8", "--proxy-mode=iptables",
		"--dns-hosts=" + filepath.Join(here, "names"), "--dns-hosts=/etc/more", "--audit-policy=" + filepath.Join(here, "audit/policy"), "--audit-log=-"}
	if !slices.Equal(got, want) {
		t.Errorf("serve gets %q, want %q", got, want)
	}
}
