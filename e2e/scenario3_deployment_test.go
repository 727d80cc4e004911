package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	deploymentManifest = "testdata/simple-deployment.yaml"
	deploymentPattern  = "echo-[a-z0-9]+-[a-z0-9]{5}"
)

// The subtests tell one story in order: each begins where the one before it ended.
func TestScenario3DeploymentRollsOut(t *testing.T) {
	ns := newNamespace(t, "scenario3")
	ns.must(t, "apply", "-f", deploymentManifest, "--record")
	ns.must(t, "apply", "-f", "testdata/simple-service.yaml")
	ns.must(t, "rollout", "status", "deployment/echo", "--timeout=60s")
	ns.waitForPods(t, 3, deploymentPattern, "--selector=app=echo")

	t.Run("the selector shows the family", ns.testFamily)
	t.Run("history has revision 1 with its cause", func(t *testing.T) {
		if got := ns.revisions(t); len(got) != 1 || !strings.Contains(got["1"], "apply") || !strings.Contains(got["1"], deploymentManifest) {
			t.Errorf("history is %v, want revision 1 with the command as its cause", got)
		}
	})
	t.Run("more replicas make no new revision", ns.testScale)
	t.Run("a new image rolls over without a failed request", ns.testRollout)
	t.Run("history prints the template of a revision", func(t *testing.T) {
		got := ns.must(t, "rollout", "history", "deployment/echo", "--revision=1")
		if !strings.Contains(got, "gihyodocker/echo:latest") || strings.Contains(got, "patched") {
			t.Errorf("revision 1 is %s", got)
		}
	})
	t.Run("undo brings revision 1 back", ns.testUndo)
	t.Run("delete takes all along", func(t *testing.T) {
		ns.must(t, "delete", "-f", deploymentManifest)
		ns.waitUntilGone(t)
		eventually(t, func() error {
			if left := ns.must(t, "get", "replicaset", "-o", "name"); left != "" {
				return fmt.Errorf("there is still %s", left)
			}
			return nil
		})
	})
}

func (n namespace) testFamily(t *testing.T) {
	family := strings.Fields(n.must(t, "get", "pod,replicaset,deployment", "--selector", "app=echo", "-o", "name"))
	hash := n.value(t, "replicaset", "{.items[0].metadata.labels.pod-template-hash}")
	want := regexp.MustCompile(`^(pod/echo-` + hash + `-[a-z0-9]{5} ){3}replicaset\.apps/echo-` + hash + ` deployment\.apps/echo$`)
	if got := strings.Join(family, " "); hash == "" || !want.MatchString(got) {
		t.Errorf("the family is %q, want names with the template's hash %q", got, hash)
	}
}

func (n namespace) testScale(t *testing.T) {
	manifest := changed(t, deploymentManifest, "replicas: 3", "replicas: 4")
	n.must(t, "apply", "-f", manifest)
	n.must(t, "rollout", "status", "deployment/echo", "--timeout=60s")
	n.waitForPods(t, 4, deploymentPattern, "--selector=app=echo")
	if sets := strings.Fields(n.must(t, "get", "replicaset", "-o", "name")); len(sets) != 1 {
		t.Errorf("ReplicaSets are %v, want one", sets)
	}
	if got := n.revisions(t); len(got) != 1 {
		t.Errorf("history is %v, want revision 1 alone", got)
	}
}

func (n namespace) testRollout(t *testing.T) {
	n.must(t, "run", "load", "--image=kube-lite-test/tool:latest", "--image-pull-policy=IfNotPresent", "--restart=Never", "--", "load", "http://echo/")
	n.follow(t, "logs", "-f", "load", "--pod-running-timeout=60s").waitFor(t, "first answer of version latest")

	n.must(t, "apply", "--record", "-f", changed(t, deploymentManifest, "replicas: 3", "replicas: 4", "echo:latest", "echo:patched"))
	steps := n.follow(t, "get", "deployment", "echo", "--watch", "-o", `jsonpath={.status.replicas} {.status.availableReplicas}{"\n"}`)
	if got := n.must(t, "rollout", "status", "deployment/echo", "--timeout=120s"); !strings.Contains(got, "successfully rolled out") {
		t.Errorf("rollout status says %q", got)
	}
	if updated := n.value(t, "deployment/echo", "{.status.updatedReplicas} {.status.availableReplicas} {.status.replicas}"); updated != "4 4 4" {
		t.Errorf("after rollout status, replicas updated, available and in all are %s, want 4 4 4", updated)
	}
	checkSteps(t, steps)

	_, failures, report := n.endLoad(t, "load")
	for _, want := range []string{`version=latest answers=[1-9]`, `version=patched answers=[1-9]`} {
		if failures > 0 || !regexp.MustCompile(want).MatchString(report) {
			t.Errorf("the load client's report has failures or no %s:\n%s", want, report)
		}
	}
	n.must(t, "delete", "pod", "load")
}

// checkSteps looks at each state that the rollout of 4 replicas went through. The defaults allow 25 % fewer available
// ones and 25 % more in all: 3 and 5.
func checkSteps(t *testing.T, steps *stream) {
	t.Helper()
	for seen := 0; ; seen++ {
		select {
		case line := <-steps.lines:
			fields := strings.Fields(line)
			if len(fields) != 2 {
				t.Fatalf("step %d is %q, want replicas and available ones", seen, line)
			}
			all, _ := strconv.Atoi(fields[0])
			available, _ := strconv.Atoi(fields[1])
			if all > 5 || available < 3 {
				t.Errorf("step %d has %d replicas, %d of them available; want at most 5 and at least 3", seen, all, available)
			}
		default:
			if seen < 3 {
				t.Errorf("the rollout took %d steps, want several", seen)
			}
			return
		}
	}
}

func (n namespace) testUndo(t *testing.T) {
	n.must(t, "rollout", "undo", "deployment/echo")
	n.must(t, "rollout", "status", "deployment/echo", "--timeout=120s")
	if image := n.value(t, "deployment/echo", `{.spec.template.spec.containers[?(@.name=="echo")].image}`); image != "gihyodocker/echo:latest" {
		t.Errorf("after undo the image is %s", image)
	}
	if got := n.revisions(t); len(got) != 2 || got["2"] == "" || got["3"] == "" {
		t.Errorf("history is %v, want revision 1 to be 3 now, beside 2", got)
	}
	if sets := strings.Fields(n.must(t, "get", "replicaset", "-o", "name")); len(sets) != 2 {
		t.Errorf("ReplicaSets are %v, want the first one reused", sets)
	}
	n.waitForPods(t, 4, deploymentPattern, "--selector=app=echo")
}

// revisions reads `rollout history`: the change-cause by revision.
func (n namespace) revisions(t *testing.T) map[string]string {
	t.Helper()
	causes := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^(\d+)\s+(.+)$`).FindAllStringSubmatch(n.must(t, "rollout", "history", "deployment/echo"), -1) {
		causes[match[1]] = match[2]
	}
	return causes
}
