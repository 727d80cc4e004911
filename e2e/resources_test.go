package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestResizeOfARunningPod(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "resize")
	ns.apply(t, podOf("web", "terminationGracePeriodSeconds: 1", `args: [sleep],
		resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {cpu: 100m, memory: 64Mi}}`))
	ns.waitForValue(t, "pod/web", "{.status.phase}", "Running")
	const status = "{.status.containerStatuses[0]."
	ns.must(t, "patch", "pod", "web", "--subresource", "resize", "--patch",
		`{"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "70m"}, "limits": {"cpu": "200m", "memory": "96Mi"}}}]}}`)
	ns.waitForValue(t, "pod/web", status+"resources.limits.memory}", "96Mi")
	ns.waitForValue(t, "pod/web", status+"resources.limits.cpu}", "200m")
	ns.waitForValue(t, "pod/web", status+"allocatedResources.cpu}", "70m")
	ns.waitForValue(t, "pod/web", status+"restartCount}", "0")
	ns.waitForEvent(t, "web", "ResizeCompleted", `Pod resize completed: .*"memory":"96Mi"`)
	if got := ns.value(t, "pod/web", "{.status.qosClass}"); got != "Burstable" {
		t.Errorf("its QoS class is %s", got)
	}

	t.Run("beyond the node", func(t *testing.T) {
		got := ns.run(t, "patch", "pod", "web", "--subresource", "resize", "--patch",
			`{"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "900"}, "limits": {"cpu": "1000"}}}]}}`)
		if got.code != 1 || !strings.Contains(got.stderr, "node didn't have enough allocatable resources: cpu") {
			t.Errorf("exit code %d, %s", got.code, got.stderr)
		}
	})
	t.Run("beyond what others leave", func(t *testing.T) {
		ns.apply(t, podOf("other", "terminationGracePeriodSeconds: 1", "args: [sleep], resources: {requests: {cpu: 100m}}"))
		ns.waitForValue(t, "pod/other", "{.status.phase}", "Running")
		all := ns.value(t, "node", "{.items[0].status.allocatable.cpu}")
		ns.must(t, "patch", "pod", "web", "--subresource", "resize", "--patch",
			fmt.Sprintf(`{"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "%s"}, "limits": {"cpu": "1000"}}}]}}`, all))
		ns.waitForValue(t, "pod/web", `{.status.conditions[?(@.type=="PodResizePending")].reason}`, "Deferred")
		ns.waitForValue(t, "pod/web", status+"allocatedResources.cpu}", "70m")
		ns.waitForEvent(t, "web", "ResizeDeferred", "Pod resize OutOfcpu: .*Node didn't have enough resource: cpu, requested: ")
	})
}

func TestPodThatTakesTooMuchDiskIsEvicted(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "evicted")
	const mounts = "volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}]"
	ns.apply(t, podOf("greedy", fmt.Sprintf(`volumes: [{name: disk, emptyDir: {sizeLimit: 5Ki}}, {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}],
		initContainers: [{name: write, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [write, /memory/x, kept], %s}]`,
		mounts), mounts+", args: [sleep]"))
	ns.waitForValue(t, "pod/greedy", "{.status.phase}", "Running")
	if got := ns.must(t, "exec", "greedy", "--", "/tool", "cat", "/memory/x"); got != "kept" {
		t.Errorf("the volume in memory has %q", got)
	}
	ns.must(t, "exec", "greedy", "--", "/tool", "write", "/disk/x", strings.Repeat("x", 10_000))
	ns.waitForValue(t, "pod/greedy", "{.status.phase}", "Failed")
	ns.waitForValue(t, "pod/greedy", "{.status.reason}: {.status.message}", `Evicted: Usage of EmptyDir volume "disk" exceeds the limit "5Ki"\. `)
	ns.waitForEvent(t, "greedy", "Evicted", `Usage of EmptyDir volume "disk" exceeds the limit "5Ki"`)
}

func TestPodThatTheNodeHasNoRoomFor(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "room")
	node := strings.TrimPrefix(strings.TrimSpace(ns.must(t, "get", "nodes", "-o", "name")), "node/")
	const huge = `args: [sleep], resources: {requests: {cpu: "1000"}}`
	ns.apply(t, podOf("waits", "restartPolicy: Never", huge)+podOf("bound", "restartPolicy: Never, nodeName: "+node, huge))
	ns.waitForEvent(t, "waits", "FailedScheduling", "1 Insufficient cpu")
	ns.waitForValue(t, "pod/waits", "{.status.phase}", "Pending")
	ns.waitForValue(t, "pod/bound", "{.status.phase} {.status.reason}", "Failed OutOfcpu")
	ns.waitForValue(t, "pod/bound", "{.status.message}", "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: [0-9]+, capacity: [0-9]+")
}
