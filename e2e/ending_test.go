package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// wantEndpoints waits until so many addresses of a Service get traffic.
func (n namespace) wantEndpoints(t *testing.T, service string, want int) {
	t.Helper()
	eventually(t, func() error {
		got := n.must(t, "get", "endpointslices", "-l", "kubernetes.io/service-name="+service,
			"-o", `jsonpath={range .items[*].endpoints[*]}{.addresses[0]} ready={.conditions.ready};{end}`)
		if strings.Count(got, "ready=true") != want {
			return fmt.Errorf("the endpoints are %q, want %d that are ready", got, want)
		}
		return nil
	})
}

func TestADeletedPodLeavesItsServiceAtOnceAndTheAPIWithItsContainers(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "ending")
	const grace = 6
	ns.apply(t, podOf("stubborn", fmt.Sprintf("terminationGracePeriodSeconds: %d", grace), "args: [sleep, --ignore-term]"))
	ns.must(t, "expose", "pod", "stubborn", "--port=80")
	ns.wantEndpoints(t, "stubborn", 1)
	running := "status=running"
	ns.must(t, "delete", "pod", "stubborn", "--wait=false")
	began := time.Now()
	ns.wantEndpoints(t, "stubborn", 0)
	// The machine may be slow; then this proves nothing, and says nothing.
	if pods, containers := ns.pods(t), ns.containers(t, running); time.Since(began) < grace*time.Second && (len(pods) != 1 || pods[0][2] != "Terminating" || len(containers) != 2) {
		t.Errorf("%v after the request the Pod is %v, and Docker runs %v", time.Since(began), pods, containers)
	}
	var left []string
	eventually(t, func() error {
		pods := ns.pods(t)
		if left = ns.containers(t, running); len(pods) != 0 {
			return fmt.Errorf("there is still %v", pods)
		}
		return nil
	})
	if took := time.Since(began); took < (grace-1)*time.Second {
		t.Errorf("it was gone after %v of its %d s", took, grace)
	}
	if len(left) != 0 {
		t.Errorf("the API does not know the Pod any more, and Docker runs %v", left)
	}
	ns.waitUntilGone(t)
}

func TestForcedDeletionWaitsForNothing(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "forced")
	stubborn := podOf("stubborn", "terminationGracePeriodSeconds: 600", "args: [sleep, --ignore-term]")
	ns.apply(t, stubborn)
	ns.waitForPods(t, 1, "stubborn")
	old := ns.value(t, "pod/stubborn", "{.metadata.uid}")
	got := ns.run(t, "delete", "pod", "stubborn", "--grace-period=0", "--force")
	if want := "Immediate deletion does not wait for confirmation"; got.code != 0 || !strings.Contains(got.stderr, want) {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	// The name is free at once, while the containers of its last owner may still end.
	ns.apply(t, stubborn)
	ns.waitForPods(t, 1, "stubborn")
	eventually(t, func() error {
		if left := ns.containers(t, "label=io.kubernetes.pod.uid="+old); len(left) != 0 {
			return fmt.Errorf("the old Pod's containers are there: %v", left)
		}
		return nil
	})
	ns.must(t, "delete", "pod", "stubborn", "--grace-period=0", "--force")
	ns.waitUntilGone(t)
}

func TestContainersEndByTheSignalThatTheyOrTheirImagesDeclare(t *testing.T) {
	t.Parallel()
	const image = "kube-lite-test/quits:e2e"
	build := exec.Command("docker", "build", "--tag", image, "-")
	build.Stdin = strings.NewReader("FROM gihyodocker/fundamental:0.1.0\nSTOPSIGNAL SIGQUIT\n")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v: %s", err, out)
	}
	ns := newNamespace(t, "signals")
	t.Cleanup(func() { docker(t, "image", "rm", "--force", image) })
	container := func(more string) string {
		return fmt.Sprintf(`{os: {name: linux}, terminationGracePeriodSeconds: 60, containers: [{name: main, image: %q, imagePullPolicy: Never, %s command: [sh, -c,
			'for s in TERM INT QUIT; do trap "echo got $s; exit 0" $s; done; echo ready; while :; do sleep 0.1; done']}]}`, image, more)
	}
	for name, c := range map[string]struct{ more, want string }{
		"declared": {"lifecycle: {stopSignal: SIGINT},", "got INT"},
		"images":   {"", "got QUIT"},
	} {
		t.Run(name, func(t *testing.T) {
			ns.apply(t, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: %s}", name, container(c.more)))
			ns.waitForPods(t, 1, name)
			log := ns.follow(t, "logs", name, "--follow")
			log.waitFor(t, "ready")
			if c.more != "" {
				ns.waitForValue(t, "pod/"+name, "{.spec.containers[0].lifecycle.stopSignal} {.status.containerStatuses[0].stopSignal}", "SIGINT SIGINT")
			}
			ns.must(t, "delete", "pod", name, "--wait=false")
			log.waitFor(t, c.want)
			log.waitUntilEnded(t)
			ns.waitUntilGone(t)
		})
	}
}
