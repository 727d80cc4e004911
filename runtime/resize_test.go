package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// resize changes what a Pod's first container declares, as the subresource does.
func (r *rig) resize(name string, requests, limits v1.ResourceList) {
	r.t.Helper()
	pod := r.get(name).DeepCopy()
	pod.Generation++
	pod.Spec.Containers[0].Resources.Requests, pod.Spec.Containers[0].Resources.Limits = requests, limits
	if _, err := r.client.CoreV1().Pods("ns").Update(r.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

// resizing tells the conditions of a Pod's resize, such as "PodResizePending Deferred".
func (r *rig) resizing(name string) (out string) {
	r.t.Helper()
	for _, kind := range []v1.PodConditionType{v1.PodResizePending, v1.PodResizeInProgress} {
		status := r.get(name).Status
		if _, c := podutil.GetPodConditionFromList(status.Conditions, kind); c != nil && c.Status == v1.ConditionTrue {
			out += fmt.Sprintf("%s %s ", kind, c.Reason)
		}
	}
	return strings.TrimSpace(out)
}

func TestResizeChangesAContainerThatGoesOnRunning(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Resources = v1.ResourceRequirements{Requests: amounts("cpu", "100m"), Limits: amounts("cpu", "200m", "memory", "64Mi")}
		})
		r.engine.history()
		r.resize("web", amounts("cpu", "250m"), amounts("cpu", "500m", "memory", "128Mi"))
		if got := r.engine.history(); !slices.Equal(got, []string{"update k8s_app_web_ns_uid-web_0"}) {
			t.Errorf("the agent did %q", got)
		}
		if got := r.engine.get("k8s_app_web_ns_uid-web_0").Resources; got.CPUShares != 256 || got.CPUQuota != 50_000 || got.Memory != 128<<20 {
			t.Errorf("Docker has %+v", got)
		}
		s := r.get("web").Status
		c := s.ContainerStatuses[0]
		if c.RestartCount != 0 || c.Resources.Limits.Memory().String() != "128Mi" || c.Resources.Limits.Cpu().String() != "500m" || c.AllocatedResources.Cpu().String() != "250m" {
			t.Errorf("its status says %+v, allocated %v", c.Resources, c.AllocatedResources)
		}
		if got := r.resizing("web"); got != "" {
			t.Errorf("it is still %s", got)
		}
		r.wantEvent("web", `ResizeStarted: Pod resize started: {"containers":[{"name":"app","resources":{"limits":{"cpu":"500m","memory":"128Mi"},"requests":{"cpu":"250m"}}}],"generation":2}`)
		r.wantEvent("web", `ResizeCompleted: Pod resize completed: {"containers"`)
	})
}

func TestResizeThatNeedsARestartRestartsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Resources.Limits = amounts("memory", "64Mi", "cpu", "1")
			p.Spec.Containers[0].ResizePolicy = []v1.ContainerResizePolicy{{ResourceName: v1.ResourceMemory, RestartPolicy: v1.RestartContainer}}
		})
		r.resize("web", nil, amounts("memory", "64Mi", "cpu", "500m"))
		r.wantState("web", "app", "running 0")
		r.resize("web", nil, amounts("memory", "32Mi", "cpu", "500m"))
		r.wantState("web", "app", "running 1")
		if got := r.engine.get("k8s_app_web_ns_uid-web_1").Resources; got.Memory != 32<<20 || got.CPUQuota != 50_000 {
			t.Errorf("Docker has %+v", got)
		}
		r.wantEvent("web", "Killing: Container app resize requires restart")
		if got := r.resizing("web"); got != "" {
			t.Errorf("it is still %s", got)
		}
	})
}

func TestResizeBeyondTheNodeIsDeferredAndRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = amounts("cpu", "100m") })
		r.resize("web", amounts("cpu", "1000"), nil)
		if got := r.resizing("web"); got != "PodResizePending Deferred" {
			t.Errorf("it is %q", got)
		}
		r.wantEvent("web", "ResizeDeferred: Pod resize OutOfcpu: ")
		r.wantEvent("web", `"error":"Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: `)
		r.stop()
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.start()
		r.wantState("web", "app", "running 1")
		if c := r.get("web").Status.ContainerStatuses[0]; c.AllocatedResources.Cpu().String() != "100m" || r.engine.get("k8s_app_web_ns_uid-web_1").Resources.CPUShares != 102 {
			t.Errorf("the next container has what was never granted: %v", c.AllocatedResources)
		}
		if got := r.resizing("web"); got != "PodResizePending Deferred" {
			t.Errorf("after a restart of the agent it is %q", got)
		}
		r.resize("web", amounts("cpu", "100m"), nil)
		if got := r.resizing("web"); got != "" {
			t.Errorf("taken back it is still %q", got)
		}
	})
}

func TestResizeWaitsUntilAnotherMakesRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		all := resource.NewQuantity(int64(r.agent.node.Facts.CPUs), resource.DecimalSI).String()
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = amounts("cpu", "0") })
		r.pod("other", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = amounts("cpu", "100m") })
		r.resize("web", amounts("cpu", all), nil)
		if got := r.resizing("web"); got != "PodResizePending Deferred" {
			t.Errorf("it is %q", got)
		}
		r.wantEvent("web", "ResizeDeferred: Pod resize OutOfcpu: ")
		r.delete("other", 30)
		r.settle()
		if got := r.get("web").Status.ContainerStatuses[0].AllocatedResources.Cpu().String(); got != all || r.resizing("web") != "" {
			t.Errorf("it has %s and is %q", got, r.resizing("web"))
		}
	})
}

func TestResizeTakesNoMemoryThatIsInUse(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var used atomic.Int64
		used.Store(48 << 20)
		r.agent.memoryInUse = func(int) (int64, error) { return used.Load(), nil }
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Limits = amounts("memory", "64Mi") })
		r.resize("web", nil, amounts("memory", "32Mi"))
		if got := r.resizing("web"); got != "PodResizeInProgress Error" {
			t.Errorf("it is %q", got)
		}
		r.wantEvent("web", `cannot decrease memory limits: attempting to set container \"app\" memory limit (33554432) below current usage (50331648)`)
		if c := r.get("web").Status.ContainerStatuses[0]; c.Resources.Limits.Memory().String() != "64Mi" {
			t.Errorf("its status says %v", c.Resources.Limits)
		}
		used.Store(8 << 20)
		r.after(resizeRetry)
		if c := r.get("web").Status.ContainerStatuses[0]; c.Resources.Limits.Memory().String() != "32Mi" || r.resizing("web") != "" {
			t.Errorf("once it uses less: %v, %q", c.Resources.Limits, r.resizing("web"))
		}
	})
}

func TestResizeThatDockerRefusesIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Limits = amounts("cpu", "1") })
		r.engine.failUpdates(errors.New("no"))
		r.resize("web", nil, amounts("cpu", "2"))
		r.after(3 * resizeRetry)
		failed := 0
		for _, e := range r.reasons("web") {
			if strings.HasPrefix(e, "ResizeError") {
				failed++
			}
		}
		if got := r.resizing("web"); got != "PodResizeInProgress Error" || failed != 1 {
			t.Errorf("it is %q, told %d times", got, failed)
		}
		r.engine.failUpdates(nil)
		r.after(resizeRetry)
		if got := r.resizing("web"); got != "" {
			t.Errorf("it is still %q", got)
		}
	})
}

func TestEngineThatLacksABoundIsAskedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.agent.memoryInUse = func(int) (int64, error) { return 0, errors.New("nothing counts it") }
		updates := 0
		r.step = func(act string) {
			if act != "resized" {
				return
			}
			r.engine.change("k8s_app_web_ns_uid-web_0", func(c *fakeContainer) { c.Resources.Memory = 0 })
			if updates++; updates > 3 {
				time.Sleep(time.Hour) // or this test never ends
			}
		}
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Limits = amounts("memory", "64Mi") })
		r.resize("web", nil, amounts("memory", "128Mi"))
		if updates != 1 {
			t.Errorf("it was asked %d times", updates)
		}
		if got := r.resizing("web"); got != "" {
			t.Errorf("it is still %s", got)
		}
	})
}
