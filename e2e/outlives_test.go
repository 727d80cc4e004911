package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Pods that came to different ends, and one that uses the API.
const survivors = `
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec:
  containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [exit, "3"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: kube-lite-test/tool:latest
    imagePullPolicy: Never
    args: [alloc, "64"]
    resources: {limits: {memory: 20Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: killed}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [sleep]}]
---
apiVersion: v1
kind: Pod
metadata: {name: asks}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [sleep]}]
---
`

func TestWhatIsKnownOfAPodOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.apply(t, survivors)
	const count = "{.status.containerStatuses[0].restartCount}"
	const how = "{.status.phase} {.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}"
	ns.waitForPods(t, 1, "asks", "--field-selector=metadata.name=asks")
	ns.waitForPods(t, 1, "killed", "--field-selector=metadata.name=killed")
	if _, err := i.docker("kill", ns.containers(t, "label=io.kubernetes.pod.name=killed", "label=io.kubernetes.container.name=main")[0]); err != nil {
		t.Fatal(err)
	}
	ns.waitForValue(t, "pod/hungry", how, "Failed OOMKilled 137")
	ns.waitForValue(t, "pod/killed", how, "Failed Error 137")
	ns.waitForValue(t, "pod/crashes", count+" {.status.containerStatuses[0].state.waiting.reason}", "[1-9] CrashLoopBackOff")
	before := map[string]string{}
	for _, pod := range []string{"crashes", "hungry", "killed"} {
		before[pod] = ns.value(t, "pod/"+pod, "{.status.containerStatuses}")
	}
	old := ns.token(t)

	i.kill(t)
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	t.Run("how containers ended and how often", func(t *testing.T) {
		ns.waitForPods(t, 1, "asks", "--field-selector=metadata.name=asks")
		for _, pod := range []string{"hungry", "killed"} {
			if now := ns.value(t, "pod/"+pod, "{.status.containerStatuses}"); now != before[pod] {
				t.Errorf("%s was %s\nand is %s", pod, before[pod], now)
			}
		}
		var was, is []containerStatus
		decode(t, before["crashes"], &was)
		ns.waitForValue(t, "pod/crashes", count, fmt.Sprint(was[0].RestartCount+1))
		decode(t, ns.value(t, "pod/crashes", "{.status.containerStatuses}"), &is)
		if last := is[0].LastState.Terminated; last.ExitCode != 3 || last.Reason != "Error" || last.FinishedAt == "" {
			t.Errorf("the last state of one that crashes is %+v", last)
		}
	})
	t.Run("its token is good and renewed", func(t *testing.T) {
		if err := i.review(t, old, "asks"); err != nil {
			t.Errorf("the token from before: %v", err)
		}
		var fresh string
		eventually(t, func() error {
			if fresh = ns.token(t); fresh == old {
				return fmt.Errorf("the token is the one from before")
			}
			return i.review(t, fresh, "asks")
		})
		if was, is := expiry(t, old), expiry(t, fresh); is <= was {
			t.Errorf("the token held until %d, the new one until %d", was, is)
		}
		ns.must(t, "delete", "pod", "asks")
		if err := i.review(t, fresh, "asks"); err == nil {
			t.Error("the token of a Pod that is gone is good")
		}
	})
}

// containerStatus is what a test wants to know of one.
type containerStatus struct {
	RestartCount int
	LastState    struct {
		Terminated struct {
			ExitCode   int
			Reason     string
			FinishedAt string
		}
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// token is the one that Pod asks has now.
func (n namespace) token(t *testing.T) string {
	t.Helper()
	return n.must(t, "exec", "asks", "--", "/tool", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
}

// review asks the API server whether a token is good, and that of a Pod.
func (i *instance) review(t *testing.T, token, pod string) error {
	t.Helper()
	got := i.run(t, "", "create", "--raw", "/apis/authentication.k8s.io/v1/tokenreviews", "-f", tokenReview(t, token))
	for _, want := range []string{`"authenticated":true`, "system:serviceaccount:default:default", `"authentication.kubernetes.io/pod-name":["` + pod + `"]`} {
		if !strings.Contains(got.stdout, want) {
			return fmt.Errorf("its review has no %s: %s%s", want, got.stdout, got.stderr)
		}
	}
	return nil
}

// expiry is when a token ends, in seconds of Unix time.
func expiry(t *testing.T, token string) int64 {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Exp int64 }
	decode(t, string(claims), &c)
	return c.Exp
}
