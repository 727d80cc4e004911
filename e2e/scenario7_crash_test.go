package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestScenario7KilledDaemonUnderTraffic(t *testing.T) {
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.must(t, "apply", "-f", "testdata/simple-deployment.yaml", "-f", "testdata/simple-nodeport-service.yaml")
	ns.waitForPods(t, 3, deploymentPattern)
	url := ns.nodePort(t, "echo")
	waitForAnswer(t, url, greeting)
	objects, containers := i.objects(t), ns.started(t)
	client := requestAllTheTime(t, url)
	client.waitForMore(t, 20)

	i.kill(t)
	client.waitForMore(t, 50)
	if got := i.run(t, "", "status"); got.code != 3 {
		t.Fatalf("somebody runs the instance after SIGKILL: status says %q", got.stdout)
	}
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	client.waitForMore(t, 50)

	t.Run("the objects are all there", func(t *testing.T) {
		for object, uid := range i.objects(t) {
			if had := objects[object]; had != uid && had != "" {
				t.Errorf("%s has the UID %s, had %s", object, uid, had)
			}
			delete(objects, object)
		}
		if len(objects) > 0 {
			t.Errorf("there is no more %v", slices.Sorted(maps.Keys(objects)))
		}
	})
	client.check(t)
	// The new pod is there when the daemon has looked at all of them, and shows that it works again.
	ns.must(t, "scale", "deployment/echo", "--replicas=4")
	pods := ns.waitForPods(t, 4, deploymentPattern)
	t.Run("no container was touched", func(t *testing.T) {
		for _, pod := range ns.pods(t) {
			if pod[3] != "0" {
				t.Errorf("%s has %s restarts", pod[0], pod[3])
			}
		}
		now := ns.started(t)
		for id, began := range containers {
			if now[id] != began {
				t.Errorf("container %s started at %q, now at %q", id, began, now[id])
			}
		}
		if want := len(containers) + 3; len(now) != want { // the new pod's sandbox and two
			t.Errorf("%d pods have %d containers, want %d", len(pods), len(now), want)
		}
	})
}

func TestScenario7PodsComeBackWithDocker(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	engine.load(t, "gihyodocker/nginx:latest", "gihyodocker/echo:latest")
	i := startInstanceOn(t, engine.host())
	ns := namespace{"default", i}
	ns.must(t, "apply", "-f", "testdata/simple-deployment.yaml", "-f", "testdata/simple-nodeport-service.yaml")
	before := ns.waitForPods(t, 3, deploymentPattern)
	url := ns.nodePort(t, "echo")
	waitForAnswer(t, url, greeting)
	objects := i.objects(t)

	engine.stop(t)
	if _, err := os.Stat(engine.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the engine's socket is still there: %v", err)
	}
	engine.start(t)
	ns.wantBack(t, before, objects, "2")
	waitForAnswer(t, url, greeting)

	engine.stop(t)
	eventually(t, func() error {
		if got := ns.must(t, "get", "nodes", "--no-headers"); !strings.Contains(got, "NotReady") {
			return fmt.Errorf("without Docker the node is %q", got)
		}
		return nil
	})
	time.Sleep(outage) // what is tested is what comes of it, not that it is over
	engine.start(t)
	ns.wantBack(t, before, objects, "4")
	waitForAnswer(t, url, greeting)
}

// outage is how long Docker is away.
const outage = time.Minute

// wantBack waits until the Deployment's pods run again, by themselves: nobody tells the daemon or touches the pods.
func (n namespace) wantBack(t *testing.T, pods []string, objects map[string]string, restarts string) {
	t.Helper()
	eventually(t, func() error {
		running, err := n.in.docker("ps", "--quiet", "--filter", n.in.label())
		if got := len(strings.Fields(running)); err != nil || got != 9 {
			return fmt.Errorf("the engine runs %d containers, want 9, of 3 pods: %v", got, err)
		}
		return nil
	})
	if after := n.waitForPods(t, 3, deploymentPattern); !slices.Equal(after, pods) {
		t.Errorf("pods are %v, were %v", after, pods)
	}
	for object, uid := range n.in.objects(t) {
		if had := objects[object]; had != "" && had != uid {
			t.Errorf("%s has the UID %s, had %s", object, uid, had)
		}
	}
	for _, pod := range n.pods(t) {
		if pod[3] != restarts {
			t.Errorf("%s has %s restarts, want %s: one for each of its 2 containers each time", pod[0], pod[3], restarts)
		}
	}
}

// kill ends the daemon as a power cut would, and waits until it is gone.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(i.run(t, "", "status", "-o", "json").stdout), &status); err != nil || status.PID <= 1 {
		t.Fatalf("status -o json: pid %d, %v", status.PID, err)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if running, err := i.processes(); err != nil || running != "" {
			return fmt.Errorf("the daemon still runs: %s, %v", running, err)
		}
		return nil
	})
}

// objects returns the UID of each lasting object by its kind, namespace and name.
func (i *instance) objects(t *testing.T) map[string]string {
	t.Helper()
	got := i.run(t, "", "get", "deployment,replicaset,pod,service,endpointslice,namespace,node,configmap,secret", "--all-namespaces",
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\n"}{end}`)
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	uids := map[string]string{}
	for line := range strings.Lines(got.stdout) {
		object, uid, _ := strings.Cut(strings.TrimSpace(line), " ")
		uids[object] = uid
	}
	return uids
}

// started returns when each container that runs was started, by its ID.
func (n namespace) started(t *testing.T) map[string]string {
	t.Helper()
	ids, err := n.in.docker("ps", "--quiet", "--no-trunc", "--filter", n.label(), "--filter", n.in.label())
	if err != nil {
		t.Fatal(err)
	}
	started := map[string]string{}
	if ids == "" {
		return started
	}
	lines, err := n.in.docker(append([]string{"inspect", "--format", "{{.Id}} {{.State.StartedAt}}"}, strings.Fields(ids)...)...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(lines) {
		id, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		started[id] = at
	}
	return started
}
