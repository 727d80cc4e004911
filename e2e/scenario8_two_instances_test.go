package e2e

import (
	"strings"
	"testing"
)

func TestScenario8TwoInstancesDoNotTouchEachOther(t *testing.T) {
	// The rules of the one are in nftables, where the machine has it, and those of the other in chains of iptables.
	red, blue := startInstance(t), startInstance(t, "--proxy-mode=iptables")
	urls := map[*instance]string{}
	for text, i := range map[string]*instance{"red": red, "blue": blue} {
		ns := namespace{"default", i}
		ns.apply(t, textServer("same", text))
		ns.must(t, "patch", "service", "same", "-p", `{"spec":{"type":"NodePort"}}`)
		ns.must(t, "create", "configmap", "same", "--from-literal=of="+text)
		urls[i] = ns.nodePort(t, "same")
	}
	if urls[red] == urls[blue] { // 1 in 2768, each picks its own
		t.Skipf("both instances picked %s", urls[red])
	}

	for text, i := range map[string]*instance{"red": red, "blue": blue} {
		t.Run(text+" has its own", func(t *testing.T) { i.testOwn(t, urls[i], text) })
	}
	t.Run("reset removes the one and leaves the other whole", func(t *testing.T) {
		objects, containers := red.objects(t), namespace{"default", red}.started(t)
		client := requestAllTheTime(t, urls[red])
		client.waitForMore(t, 5)
		if got := blue.run(t, "", "reset", "--yes"); got.code != 0 {
			t.Fatalf("reset: exit code %d: %s", got.code, got.stderr)
		}
		blue.ready = false
		left, err := blue.leftovers()
		if err != nil || len(left) > 0 {
			t.Errorf("reset left %v, %v", left, err)
		}
		if _, _, err := get(urls[blue]); err == nil {
			t.Errorf("%s still answers", urls[blue])
		}
		client.waitForMore(t, 20)
		client.check(t)
		for object, uid := range red.objects(t) {
			if had := objects[object]; had != "" && had != uid {
				t.Errorf("the other's %s has the UID %s, had %s", object, uid, had)
			}
			delete(objects, object)
		}
		if len(objects) > 0 {
			t.Errorf("the other misses %v", objects)
		}
		now := namespace{"default", red}.started(t)
		for id, began := range containers {
			if now[id] != began {
				t.Errorf("the other's container %s started at %q, now at %q", id, began, now[id])
			}
		}
		red.testOwn(t, urls[red], "red")
	})
}

// testOwn looks at what both instances have under the same name.
func (i *instance) testOwn(t *testing.T, url, text string) {
	ns := namespace{"default", i}
	ns.waitForPods(t, 1, "same-.*")
	waitForAnswer(t, url, text)
	waitForAnswer(t, "http://"+ns.value(t, "service/same", "{.spec.clusterIP}"), text)
	if of := ns.value(t, "configmap/same", "{.data.of}"); of != text {
		t.Errorf("configmap/same is of %s", of)
	}
	if got := ns.must(t, "exec", "deployment/same", "--", "/tool", "http-get", "http://same"); got != text+"\n" {
		t.Errorf("from its own pod http://same answers %q", got)
	}
	if nodes := ns.must(t, "get", "endpointslice", "-l", "kubernetes.io/service-name=same", "-o", "jsonpath={.items[*].endpoints[*].addresses[*]}"); len(strings.Fields(nodes)) != 1 {
		t.Errorf("the Service's endpoints are %s, want its own pod alone", nodes)
	}
	networks, err := i.docker("network", "ls", "--filter", i.label(), "--format", "{{.Name}}")
	if want := "kube-lite-" + i.name; err != nil || networks != want {
		t.Errorf("networks are %q, want %s (%v)", networks, want, err)
	}
	if chains, err := i.chains(); err != nil || chains == "" {
		t.Errorf("there are no chains of its own (%v)", err)
	}
}
