package daemon

import (
	"bufio"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A second SIGTERM would end the daemon at once and leave its containers running.
func TestADaemonThatIsStoppingIsNotAskedAgain(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := askToStop(Info{PID: cmd.Process.Pid, Stopping: true}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "alive")
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "alive\n" {
		t.Errorf("the process was ended: %q, %v", line, err)
	}
	if err := askToStop(Info{PID: cmd.Process.Pid}); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGTERM {
		t.Errorf("a daemon that runs is ended by %v, want SIGTERM", got)
	}
}

func TestAStartWaitsWhileTheDaemonIsStopping(t *testing.T) {
	cfg := testConfig(t)
	if err := AwaitStopped(t.Context(), cfg); err != nil {
		t.Errorf("without a daemon: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		held, err := acquire(cfg)
		if err != nil {
			t.Fatal(err)
		}
		d := &daemon{cfg: cfg, lock: held, info: Info{Name: cfg.Name, PID: 4242, Ready: true}}
		if err := held.describe(d.info); err != nil {
			t.Fatal(err)
		}
		if err := AwaitStopped(t.Context(), cfg); err != nil {
			t.Errorf("with a daemon that is not stopping: %v", err)
		}
		if err := d.describeEnd(); err != nil {
			t.Fatal(err)
		}
		if info, _, err := Lookup(cfg); err != nil || info.Ready || !info.Stopping {
			t.Errorf("a daemon that is stopping says %+v, %v", info, err)
		}
		began, took := time.Now(), 5*time.Second
		time.AfterFunc(took, held.release)
		if err := AwaitStopped(t.Context(), cfg); err != nil || time.Since(began) < took {
			t.Errorf("returned after %v, %v; want %v", time.Since(began), err, took)
		}
	})
}

// A start that waited for the same end may take the lock before Stop has looked again.
func TestAStopIsOverWhenAnotherDaemonHasStarted(t *testing.T) {
	cfg := testConfig(t)
	synctest.Test(t, func(t *testing.T) {
		held, err := acquire(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer held.release()
		if err := held.describe(Info{PID: 4242, Stopping: true}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(5*time.Second, func() {
			if err := held.describe(Info{PID: 4343}); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		if err := Stop(t.Context(), cfg); err != nil || time.Since(began) > 6*time.Second {
			t.Errorf("returned after %v, %v", time.Since(began), err)
		}
	})
}
