package docker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestContainerLivesAndDiesAsItIsTold(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	spec := d.spec("life")
	id, err := d.Create(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if c := d.inspect(id); c.Status != StatusCreated || c.Name != spec.Name || !c.StartedAt.IsZero() || c.Running() {
		t.Errorf("created: %+v", c)
	}
	if err := d.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	if c := d.inspect(id); !c.Running() || c.PID == 0 || c.StartedAt.IsZero() || !c.FinishedAt.IsZero() || c.Image != d.image {
		t.Errorf("running: %+v", c)
	}
	if found, err := d.List(ctx, d.labels); err != nil || len(found) != 1 || found[0].ID != id || found[0].Status != StatusRunning {
		t.Errorf("listed: %+v, %v", found, err)
	}
	if err := d.Stop(ctx, id, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if c := d.inspect(id); c.Status != StatusExited || c.ExitCode != 0 || c.FinishedAt.IsZero() {
		t.Errorf("stopped: %+v", c)
	}
	if code, err := d.Wait(ctx, id); err != nil || code != 0 {
		t.Errorf("wait: %d, %v", code, err)
	}
	if err := d.Remove(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Inspect(ctx, id); !IsNotFound(err) {
		t.Errorf("removed: %v", err)
	}
	if err := d.Remove(ctx, id); err != nil {
		t.Errorf("removed again: %v", err)
	}
}

func TestKilledContainerHas137(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("kill"))
	if err := d.Kill(t.Context(), id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if c := d.inspect(id); c.ExitCode != 137 || c.OOMKilled {
		t.Errorf("%+v", c)
	}
}

func TestResourcesChangeWhileAContainerRuns(t *testing.T) {
	d := newDockerTest(t)
	spec := d.spec("sized")
	spec.PidsLimit = 100
	id := d.run(spec)
	want := Resources{CPUShares: 100, CPUQuota: 50_000, CPUPeriod: 100_000, Memory: 64 << 20}
	for _, memory := range []int64{64 << 20, 32 << 20, 128 << 20} { // set, less, more
		want.Memory = memory
		if err := d.Update(t.Context(), id, want); err != nil {
			t.Fatal(err)
		}
		if c := d.inspect(id); c.Resources != want || !c.Running() {
			t.Errorf("%+v, want %+v", c.Resources, want)
		}
	}
	if err := d.Update(t.Context(), "nope", want); !IsNotFound(err) {
		t.Errorf("one that is not there: %v", err)
	}
	if size, err := d.Written(t.Context(), id); err != nil || size != 0 {
		t.Errorf("it wrote %d bytes, %v", size, err)
	}
	if c := d.inspect(id); c.LogPath == "" {
		t.Error("it has no log file")
	}
}

func TestStartThatFailsIsRemembered(t *testing.T) {
	d := newDockerTest(t)
	spec := d.spec("nope")
	spec.Entrypoint = []string{"/nope"}
	id, err := d.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), id); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("start: %v", err)
	}
	if c := d.inspect(id); c.Status != StatusCreated || c.Error == "" || c.ExitCode == 0 {
		t.Errorf("%+v", c)
	}
}

func TestErrorsTellWhatIsWrong(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	spec := d.spec("one")
	spec.Image = "kube-lite-test/none:1"
	if _, err := d.Create(ctx, spec); !IsNotFound(err) || !strings.Contains(err.Error(), spec.Name) {
		t.Errorf("missing image: %v", err)
	}
	spec.Image = d.image
	if _, err := d.Create(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(ctx, spec); !IsConflict(err) {
		t.Errorf("name in use: %v", err)
	}
	spec = d.spec("two")
	spec.Mounts = []Mount{{Source: "/does/not/exist", Target: "/x"}}
	if _, err := d.Create(ctx, spec); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("missing mount source: %v", err)
	}
}

func TestContainersShareTheSandboxsNetworkAndCanBeCreatedBeforeItRuns(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	if err := d.EnsureNetwork(ctx, d.network(2)); err != nil {
		t.Fatal(err)
	}
	sandbox := d.spec("sandbox")
	address := d.network(2).port(6).Address
	sandbox.Network, sandbox.Address, sandbox.IPC, sandbox.Hostname = d.unique, address.Addr(), "shareable", "web"
	owner, err := d.Create(ctx, sandbox)
	if err != nil {
		t.Fatal(err)
	}
	guest := d.spec("guest")
	guest.Network, guest.IPC = "container:"+owner, "container:"+owner
	id, err := d.Create(ctx, guest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{owner, id} {
		if err := d.Start(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []string{owner, id} {
		if addrs, _ := inside(t, d.inspect(c)); !strings.HasSuffix(addrs, " "+address.String()) {
			t.Errorf("container %s has %s, want %s", c, addrs, address)
		}
	}
}

func TestRemoveReturnsWhenTheContainerIsGoneWhoeverRemovesIt(t *testing.T) {
	d := newDockerTest(t)
	for range 5 {
		id := d.run(d.spec("gone"))
		results := make(chan error, 4)
		for range cap(results) {
			go func() {
				err := d.Remove(t.Context(), id)
				if _, e := d.Inspect(t.Context(), id); !IsNotFound(e) {
					err = errors.Join(err, fmt.Errorf("it was removed, and inspect says %v", e))
				}
				results <- err
			}()
		}
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	}
}
