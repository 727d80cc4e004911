package e2e

import (
	"maps"
	"testing"
)

// Docker does not know of the pods on its network, and lets everybody remove it: docker network prune does. Nobody has
// to do anything about it, whether the daemon runs then or not.
func TestNetworkThatSomebodyRemovesComesBack(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.apply(t, toolPod("client", "sleep"))
	ns.must(t, "apply", "-f", "testdata/simple-deployment.yaml", "-f", "testdata/simple-nodeport-service.yaml")
	pods := ns.waitForPods(t, 4, "client|"+deploymentPattern)
	url := ns.nodePort(t, "echo")
	service, ip := "http://echo", "http://"+ns.value(t, "pod/"+pods[1], "{.status.podIP}")
	reachable := func() {
		t.Helper()
		waitForAnswer(t, url, greeting)
		waitForAnswer(t, ip, greeting)
		ns.waitForTool(t, greeting, "client", "http-get", service)
	}
	reachable()
	before := ns.started(t)
	removeNetwork := func() {
		t.Helper()
		if _, err := i.docker("network", "rm", "kube-lite-"+i.name); err != nil {
			t.Fatal(err)
		}
	}

	removeNetwork()
	reachable()
	i.kill(t)
	removeNetwork()
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	reachable()
	if after := ns.started(t); !maps.Equal(after, before) {
		t.Errorf("containers were started: %v, before %v", after, before)
	}
}
