package e2e

import (
	"fmt"
	"slices"
	"testing"
)

const replicaPattern = "echo-[a-z0-9]{5}"

func TestScenario2ReplicaSetKeepsItsReplicas(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "scenario2")
	ns.must(t, "apply", "-f", "testdata/simple-replicaset.yaml")
	ns.waitForPods(t, 3, replicaPattern)

	t.Run("a deleted pod is replaced", func(t *testing.T) {
		before := ns.waitForPods(t, 3, replicaPattern)
		ns.must(t, "delete", "pod", before[0])
		after := ns.waitForPods(t, 3, replicaPattern)
		if slices.Contains(after, before[0]) || !slices.Contains(after, before[1]) || !slices.Contains(after, before[2]) {
			t.Errorf("pods were %v and are %v, want only %s replaced", before, after, before[0])
		}
	})
	t.Run("a sandbox that is killed is rebuilt", ns.testKilledSandbox)
	t.Run("fewer replicas remove exactly the surplus", func(t *testing.T) {
		before := ns.waitForPods(t, 3, replicaPattern)
		ns.must(t, "apply", "-f", changed(t, "testdata/simple-replicaset.yaml", "replicas: 3", "replicas: 2"))
		after := ns.waitForPods(t, 2, replicaPattern)
		for _, name := range after {
			if !slices.Contains(before, name) {
				t.Errorf("pod %s is new: pods were %v", name, before)
			}
		}
	})
	t.Run("delete -f takes the pods along", func(t *testing.T) {
		ns.must(t, "delete", "-f", "testdata/simple-replicaset.yaml")
		ns.waitUntilGone(t)
	})
}

func (n namespace) testKilledSandbox(t *testing.T) {
	before := n.waitForPods(t, 3, replicaPattern)
	sandbox := func() []string {
		return n.containers(t, "label=io.kubernetes.docker.type=podsandbox", "label=io.kubernetes.pod.name="+before[0], "status=running")
	}
	old := sandbox()
	if len(old) != 1 {
		t.Fatalf("pod %s has sandboxes %v, want one", before[0], old)
	}
	id := docker(t, "inspect", "--format", "{{.Id}}", old[0])
	docker(t, "kill", id)
	eventually(t, func() error {
		now := sandbox()
		if len(now) != 1 || docker(t, "inspect", "--format", "{{.Id}}", now[0]) == id {
			return fmt.Errorf("pod %s has running sandboxes %v, want a new one", before[0], now)
		}
		return nil
	})
	if after := n.waitForPods(t, 3, replicaPattern); !slices.Equal(after, before) {
		t.Errorf("pods were %v and are %v", before, after)
	}
	waitForAnswer(t, "http://"+n.value(t, "pod/"+before[0], "{.status.podIP}"), greeting)
}
