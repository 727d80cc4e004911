package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Ranges that nobody asked for are chosen at the first start. Instances that start at the same moment see no route of
// each other's yet.
func TestInstancesThatStartAtTheSameMomentTakeDifferentRanges(t *testing.T) {
	const count = 3
	var instances [count]*instance
	for n := range instances {
		i, err := newInstance()
		if err != nil {
			t.Fatal(err)
		}
		i.binary = cluster.binary
		i.flags = slices.DeleteFunc(i.flags, func(flag string) bool { return strings.Contains(flag, "-cidr") })
		i.removeAtEnd(t)
		instances[n] = i
	}
	var starts sync.WaitGroup
	for _, i := range instances {
		starts.Go(func() {
			if err := i.up(); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	for _, i := range instances {
		i.learnRanges(t)
	}
}

// learnRanges adds the ranges that the instance chose to its flags, where the look for leftovers finds them.
func (i *instance) learnRanges(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(i.dataDir(), "instance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var chosen struct{ PodCIDR, ServiceCIDR string }
	if err := json.Unmarshal(text, &chosen); err != nil {
		t.Fatal(err)
	}
	i.flags = append(i.flags, "--pod-cidr="+chosen.PodCIDR, "--service-cidr="+chosen.ServiceCIDR)
}

// A laptop is called otherwise in another network, or by its user's wish.
func TestAnotherNameOfTheMachineKeepsItsPods(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.apply(t, toolPod("client", "sleep"))
	ns.waitForPods(t, 1, "client")
	before, node := ns.started(t), ns.value(t, "nodes", "{.items[*].metadata.name}")
	i.kill(t)
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := i.command(ctx)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{unshare, "--uts", "/bin/sh", "-c", `echo elsewhere > /proc/sys/kernel/hostname && exec "$0" start "$@"`, cmd.Path}, i.flags...)
	cmd.Path = unshare
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("start on a machine of another name: %v: %s", err, out)
	}
	if got := ns.value(t, "nodes", "{.items[*].metadata.name}"); got != node {
		t.Errorf("the nodes are %q, was %q", got, node)
	}
	ns.waitForPods(t, 1, "client")
	if after := ns.started(t); !maps.Equal(after, before) {
		t.Errorf("containers were started: %v, before %v", after, before)
	}
	if got := i.run(t, "", "start", "--node-name=elsewhere"); got.code != 1 || !strings.Contains(got.stderr, "this instance was made with the node "+node) {
		t.Errorf("start --node-name=elsewhere: exit code %d, %s; want a refusal", got.code, got.stderr)
	}
}
