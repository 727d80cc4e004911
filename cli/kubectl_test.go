package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the program itself, as kube-lite.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kube-lite": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args))
	}})
}

// The scripts in testdata/script run kube-lite as a user would, on a machine
// where no instance runs.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("KUBE_LITE_DATA_DIR", e.WorkDir+"/data")
			e.Setenv("HOME", e.WorkDir+"/home")
			return nil
		},
	})
}
