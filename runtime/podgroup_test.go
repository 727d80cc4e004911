package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kernel pretends to have the control group of the Pod "web", with its sandbox's process in
// it, and starts the agent anew on it. The function that it returns finds the group's files.
func (r *rig) kernel(unified bool) (file func(name string) string) {
	r.t.Helper()
	r.stop()
	r.engine.driver = limits.DriverCgroupfs
	r.groups = usage.Cgroups{Proc: r.t.TempDir(), Root: r.t.TempDir()}
	path, sandboxID := limits.PodPath("test", "uid-web"), fmt.Sprintf("%064d", 1)
	files := map[string]string{"cpu.max": "max 100000", "cpu.weight": "100", "memory.max": "max", "memory.current": "4096"}
	lines, top := fmt.Sprintf("0::%s/%s\n", path, sandboxID), map[string]string{}
	if !unified {
		files = map[string]string{"cpu.shares": "1024", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "4096"}
		lines, top = fmt.Sprintf("2:memory:%[1]s/%[2]s\n1:cpu:%[1]s/%[2]s\n0::%[1]s/%[2]s\n", path, sandboxID), map[string]string{"cpu": "cpu", "memory": "memory"}
	}
	file = func(name string) string {
		controller, _, _ := strings.Cut(name, ".")
		return filepath.Join(r.groups.Root, top[controller], path, name)
	}
	for name, content := range files {
		groupFile(r.t, filepath.Dir(file(name)), name, content)
	}
	for pid := range 20 { // whichever number it gets
		groupFile(r.t, r.groups.Proc, fmt.Sprintf("%d/cgroup", pid), lines)
	}
	r.start()
	r.agent.memoryInUse = func(int) (int64, error) { return 0, nil }
	return file
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

// bounding gives a Pod resources of its own.
func bounding(text ...string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Resources = &v1.ResourceRequirements{Limits: amounts(text...), Requests: amounts("cpu", "250m")}
	}
}

func TestPodsGroupIsBoundBeforeAnyContainerStarts(t *testing.T) {
	for _, unified := range []bool{false, true} {
		inBubble(t, func(t *testing.T, r *rig) {
			file := r.kernel(unified)
			names, want := []string{"memory.limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us"}, []string{"67108864", "256", "50000"}
			if unified {
				names, want = []string{"memory.max", "cpu.weight", "cpu.max"}, []string{"67108864", "10", "50000 100000"}
			}
			var seen []string
			r.engine.startErr = func(spec docker.ContainerSpec) error {
				if spec.CgroupParent != "/kube-lite-test/poduid-web" {
					t.Errorf("%s is in the group %q", spec.Name, spec.CgroupParent)
				}
				if spec.Name == "k8s_app_web_ns_uid-web_0" {
					for _, name := range names {
						seen = append(seen, contentOf(t, file(name)))
					}
				}
				return nil
			}
			r.pod("web", bounding("memory", "64Mi", "cpu", "500m"))
			if !slices.Equal(seen, want) {
				t.Errorf("when its container started the pod's group had %q, want %q", seen, want)
			}
			r.engine.startErr = nil
			r.pod("plain", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Limits = amounts("memory", "64Mi") })
			for _, name := range []string{"k8s_POD_plain_ns_uid-plain_0", "k8s_app_plain_ns_uid-plain_0"} {
				if got := r.engine.get(name).spec.CgroupParent; got != "" {
					t.Errorf("%s is in the group %q", name, got)
				}
			}
		})
	}
}

func TestPodsGroupIsBoundAfterADaemonThatWasKilledMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		file := r.kernel(true)
		r.step = func(act string) {
			if act == "started" {
				r.cancel()
			}
		}
		r.pod("web", bounding("memory", "64Mi"))
		r.stop()
		r.step = nil
		groupFile(t, filepath.Dir(file("memory.max")), "memory.max", "max") // if it got that far
		seen := "it never started"
		r.engine.startErr = func(spec docker.ContainerSpec) error {
			seen = contentOf(t, file("memory.max"))
			return nil
		}
		r.start()
		r.wantState("web", "app", "running 0")
		if seen != "67108864" {
			t.Errorf("when its container started the pod's group had %s", seen)
		}
	})
}

func TestPodsGroupGrowsBeforeItsContainersAndShrinksAfterThem(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		file := r.kernel(true)
		r.pod("web", bounding("memory", "64Mi", "cpu", "500m"))
		var seen []string
		r.step = func(act string) {
			if act == "resized" {
				seen = append(seen, contentOf(t, file("memory.max"))+" "+contentOf(t, file("cpu.max")))
			}
		}
		resize := func(text ...string) {
			pod := r.get("web").DeepCopy()
			pod.Generation++
			pod.Spec.Resources.Limits = amounts(text...)
			if _, err := r.client.CoreV1().Pods("ns").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			r.settle()
		}
		resize("memory", "128Mi", "cpu", "1")
		resize("memory", "32Mi", "cpu", "2")
		if want := []string{"134217728 100000 100000", "134217728 200000 100000"}; !slices.Equal(seen, want) {
			t.Errorf("when its container changed the pod's group had %q, want %q", seen, want)
		}
		if memory, got := contentOf(t, file("memory.max")), r.resizing("web"); memory != "33554432" || got != "" {
			t.Errorf("at last it has %s, and is %q", memory, got)
		}
		groupFile(t, filepath.Dir(file("memory.current")), "memory.current", "20971520")
		resize("memory", "16Mi", "cpu", "2")
		if memory, got := contentOf(t, file("memory.max")), r.resizing("web"); memory != "33554432" || got != "PodResizeInProgress Error" {
			t.Errorf("while it uses more it has %s, and is %q", memory, got)
		}
		if got := r.get("web").Status.Resources.Limits.Memory().String(); got != "32Mi" {
			t.Errorf("meanwhile its status says %s", got)
		}
		r.wantEvent("web", "cannot decrease memory limits: attempting to set pod memory limit (16777216) below current usage (20971520)")
		groupFile(t, filepath.Dir(file("memory.current")), "memory.current", "4096")
		r.after(resizeRetry)
		if memory, got := contentOf(t, file("memory.max")), r.resizing("web"); memory != "16777216" || got != "" {
			t.Errorf("once it uses less it has %s, and is %q", memory, got)
		}
		if got := r.get("web").Status.Resources.Limits.Memory().String(); got != "16Mi" {
			t.Errorf("then its status says %s", got)
		}
	})
}

func TestPodLevelLimitRestartsWhoAskedForIt(t *testing.T) {
	pod, c := &v1.Pod{}, app("app")
	c.ResizePolicy = []v1.ContainerResizePolicy{{ResourceName: v1.ResourceMemory, RestartPolicy: v1.RestartContainer}}
	bounding("memory", "64Mi")(pod)
	before := pods.SpecHash(pod, &c)
	bounding("memory", "128Mi")(pod)
	if pods.SpecHash(pod, &c) == before {
		t.Error("a container whose limit is its pod's does not restart when that changes")
	}
	c.Resources.Limits = amounts("memory", "32Mi")
	own := pods.SpecHash(pod, &c)
	bounding("memory", "64Mi")(pod)
	if pods.SpecHash(pod, &c) != own {
		t.Error("a container with a limit of its own restarts when its pod's changes")
	}
}

func TestWithoutTheCgroupfsDriverAPodHasNoGroup(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.kernel(true)
		r.stop()
		r.engine.driver = "systemd"
		r.start()
		r.pod("web", bounding("memory", "64Mi"))
		r.wantState("web", "app", "running 0")
		if got := r.engine.get("k8s_app_web_ns_uid-web_0"); got.spec.CgroupParent != "" || got.Resources.Memory != 64<<20 {
			t.Errorf("it is in %q, bound to %d bytes", got.spec.CgroupParent, got.Resources.Memory)
		}
		r.wantEvent("web", "UnsupportedField: spec.resources bounds each container but not the pod as a whole: it has no control group of its own")
	})
}

func TestPodThatDeclaresResourcesWhileItRunsHasNoGroup(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.kernel(true)
		r.pod("web", nil)
		pod := r.get("web").DeepCopy()
		pod.Generation++
		bounding("memory", "64Mi")(pod)
		if _, err := r.client.CoreV1().Pods("ns").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.settle()
		r.wantEvent("web", "UnsupportedField: spec.resources bounds each container but not the pod as a whole: it has no control group of its own")
		if got := r.engine.get("k8s_app_web_ns_uid-web_0").Resources.Memory; got != 64<<20 || r.resizing("web") != "" {
			t.Errorf("its container is bound to %d bytes, and it is %q", got, r.resizing("web"))
		}
	})
}

func TestEndOfASandboxIsNoFailureOfAResize(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.kernel(true)
		r.pod("web", bounding("memory", "64Mi"))
		r.stop()
		if err := os.RemoveAll(r.groups.Proc); err != nil { // and no event tells of it yet
			t.Fatal(err)
		}
		r.start()
		if all := strings.Join(r.reasons("web"), "\n"); r.resizing("web") != "" || strings.Contains(all, "Resize") {
			t.Errorf("it is %q: %s", r.resizing("web"), all)
		}
	})
}

func TestPodIsToldThatTheKernelLacksABound(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		file := r.kernel(true)
		r.pod("web", bounding("memory", "64Mi"))
		if all := strings.Join(r.reasons("web"), "\n"); strings.Contains(all, "UnsupportedField") {
			t.Errorf("it is told where the kernel has it: %s", all)
		}
		r.stop()
		if err := os.Remove(file("memory.max")); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.wantState("web", "app", "running 0")
		r.wantEvent("web", "UnsupportedField: spec.resources bounds each container but not the pod as a whole: the kernel has no such control in ")
	})
}

func TestOnlyWhoWasKilledForItsPodsMemoryIsOOMKilled(t *testing.T) {
	for _, c := range []struct {
		what      string
		kills     string // of its processes, when Docker tells of a lack of memory
		code      int
		forgotten bool // by Docker
		wantState string
	}{
		{"spared", "oom_kill 0\n", 7, false, "Error 0"},
		{"killed", "", 137, false, "OOMKilled 0"}, // its group is gone
		{"killed before Docker knew of it", "", 137, true, "OOMKilled 0"},
		{"robbed of a child", "low 0\noom_kill 1\n", 7, false, "OOMKilled 0"},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			file := r.kernel(true)
			r.pod("web", func(p *v1.Pod) { bounding("memory", "64Mi")(p); p.Spec.RestartPolicy = v1.RestartPolicyNever })
			if c.kills != "" {
				groupFile(t, filepath.Dir(file("x")), fmt.Sprintf("%064d/memory.events", 1), c.kills)
			}
			r.engine.lacksMemory("k8s_app_web_ns_uid-web_0")
			r.settle()
			r.engine.change("k8s_app_web_ns_uid-web_0", func(f *fakeContainer) { f.OOMKilled = !c.forgotten })
			r.engine.exit("k8s_app_web_ns_uid-web_0", c.code)
			r.settle()
			if got := r.state("web", "app"); got != c.wantState {
				t.Errorf("%s: it is %s, want %s", c.what, got, c.wantState)
			}
		})
	}
}
