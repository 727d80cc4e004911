package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/prune"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// group finds the files of a Pod's control group, by what Docker says of its sandbox.
func (r *dockerRig) group(pod *v1.Pod, attempt int) limits.Group {
	r.t.Helper()
	g, err := limits.FindGroup(usage.Cgroups{}, pods.Instance{Container: r.instanceOf(pod, pods.SandboxName, attempt)})
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

// groupDir is the directory of a controller of a Pod's control group, and whether it is of version 2.
func (r *dockerRig) groupDir(pod *v1.Pod, attempt int, controller string) (dir string, unified bool) {
	r.t.Helper()
	dir, unified, err := (usage.Cgroups{}).Dir(r.instanceOf(pod, pods.SandboxName, attempt).PID, controller)
	if err != nil {
		r.t.Fatal(err)
	}
	return filepath.Dir(dir), unified
}

// control reads the file of version 1 or that of version 2 of a Pod's control group.
func (r *dockerRig) control(pod *v1.Pod, attempt int, controller, one, two string) string {
	r.t.Helper()
	dir, unified := r.groupDir(pod, attempt, controller)
	if unified {
		one = two
	}
	content, err := os.ReadFile(filepath.Join(dir, one))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// groups are the control groups that the instance has now, in any hierarchy.
func (r *dockerRig) groups() (out []string) {
	for _, top := range (usage.Cgroups{}).Hierarchies() {
		found, _ := filepath.Glob(filepath.Join(top, limits.InstancePath(r.opts.Instance), "*"))
		out = append(out, slices.DeleteFunc(found, func(path string) bool { return !strings.HasPrefix(filepath.Base(path), "pod") })...)
	}
	return out
}

// bounded waits until a Pod's group has these bounds, in MiB and thousandths of a CPU.
func (r *dockerRig) bounded(pod *v1.Pod, attempt int, memory, cpu int64) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := r.group(pod, attempt).Bounds()
		if got.Memory == memory<<20 && got.CPUQuota == cpu*100_000/1000 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the pod's group has %+v, want %d MiB and %d thousandths of a CPU", got, memory, cpu)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// resizePod changes what a Pod declares for itself, as the subresource does.
func (r *dockerRig) resizePod(name string, limits v1.ResourceList) {
	r.t.Helper()
	r.update(name, func(pod *v1.Pod) {
		pod.Generation++
		pod.Spec.Resources.Limits = limits
	})
}

func TestPodLevelResourcesOnDocker(t *testing.T) {
	r := newDockerRig(t)
	if info, err := r.engine.Info(t.Context()); err != nil || info.CgroupDriver != limits.DriverCgroupfs {
		t.Skipf("Docker's cgroup driver is %q, %v", info.CgroupDriver, err)
	}
	t.Run("two containers together cannot use more memory than their Pod", func(t *testing.T) {
		pod := r.declare("both", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.Resources = &v1.ResourceRequirements{Limits: amounts("memory", "64Mi")}
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
			// Alone each of them has room. The kernel ends the one that has most, and for the
			// moment until its memory is free also others that ask for some.
			p.Spec.Containers = []v1.Container{
				r.container("one", "hold=20", "write=/v/one=x", "sleep"),
				r.container("two", "file=/v/one=x", "hold=50", "sleep"),
			}
			for n := range p.Spec.Containers {
				p.Spec.Containers[n].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			}
		})
		p := r.await("both", "rid of a container", func(p *v1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 2 && p.Status.ContainerStatuses[1].State.Terminated != nil
		})
		if first := p.Status.ContainerStatuses[0]; first.State.Running == nil || !first.Ready {
			t.Errorf("the other one does not go on: %+v", first.State)
		}
		// The kernel counts some pages before it looks whether there is room for them.
		if most, err := strconv.Atoi(r.control(pod, 0, "memory", "memory.max_usage_in_bytes", "memory.peak")); err != nil || most > 65<<20 || most < 40<<20 {
			t.Errorf("they had %d bytes at a time: %v", most, err)
		}
		if err := r.engine.Kill(t.Context(), pods.DockerName(pods.RefOf(pod), "one", 0), "SIGTERM"); err != nil {
			t.Fatal(err)
		}
		p = r.await("both", "over", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
		for n, want := range []string{"Completed 0", "OOMKilled 137"} {
			end := p.Status.ContainerStatuses[n].State.Terminated
			if got := fmt.Sprint(end.Reason, " ", end.ExitCode); got != want {
				t.Errorf("container %s ended with %s, want %s", p.Status.ContainerStatuses[n].Name, got, want)
			}
		}
		deadline := time.Now().Add(patience)
		for left := r.groups(); len(left) > 0; left = r.groups() { // though the Pod is there
			if time.Now().After(deadline) {
				t.Fatalf("left of a pod that is over: %v", left)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("its bounds follow a resize and outlive the agent and the sandbox", func(t *testing.T) {
		pod := r.declare("sized", func(p *v1.Pod) {
			p.Spec.Resources = &v1.ResourceRequirements{Requests: amounts("cpu", "250m", "memory", "32Mi"), Limits: amounts("cpu", "500m", "memory", "64Mi")}
			p.Spec.Containers = []v1.Container{r.container("one", "sleep"), r.container("two", "sleep")}
			p.Spec.Containers[1].Resources.Limits = amounts("memory", "32Mi")
		})
		r.await("sized", "ready", ready)
		r.bounded(pod, 0, 64, 500)
		if got := r.control(pod, 0, "cpu", "cpu.shares", "cpu.weight"); got != "256" && got != "10" {
			t.Errorf("its CPU shares are %s", got)
		}
		before := r.instanceOf(pod, "one", 0)
		group, _ := r.groupDir(pod, 0, "memory")
		if dir, _, err := (usage.Cgroups{}).Dir(before.PID, "memory"); err != nil || filepath.Dir(dir) != group {
			t.Errorf("a container is in %s, %v", dir, err)
		}
		r.stop()
		r.start()
		r.synced("sized")
		r.resizePod("sized", amounts("cpu", "1", "memory", "96Mi"))
		r.bounded(pod, 0, 96, 1000)
		r.resizePod("sized", amounts("cpu", "300m", "memory", "40Mi"))
		r.bounded(pod, 0, 40, 300)
		r.eventually("sized", "ResizeCompleted: Pod resize completed: ")
		if memory, cpu := limitsOf(t, r.instanceOf(pod, "one", 0)); memory != "41943040" || !strings.HasPrefix(cpu, "30000") {
			t.Errorf("a container without limits of its own has %s, %s", memory, cpu)
		}
		if after := r.instanceOf(pod, "one", 0); after.PID != before.PID {
			t.Errorf("its process is %d and was %d", after.PID, before.PID)
		}
		if err := r.engine.Kill(t.Context(), pods.DockerName(pods.RefOf(pod), pods.SandboxName, 0), "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		r.await("sized", "rebuilt", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
		r.bounded(pod, 1, 40, 300)
		r.markDeleted("sized")
		r.await("sized", "gone", gone)
		if left := r.groups(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("nothing is left when the agent was away, or of a whole instance", func(t *testing.T) {
		for _, name := range []string{"orphan", "other"} {
			r.declare(name, func(p *v1.Pod) {
				p.Spec.Resources = &v1.ResourceRequirements{Requests: amounts("cpu", "100m")}
				p.Spec.Containers = []v1.Container{r.container("one", "sleep")}
			})
			r.await(name, "ready", ready)
		}
		both := len(r.groups())
		r.stop()
		if err := r.client.CoreV1().Pods("default").Delete(t.Context(), "orphan", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.start()
		deadline := time.Now().Add(patience)
		for left := r.groups(); len(left) != both/2; left = r.groups() {
			if time.Now().After(deadline) {
				t.Fatalf("left behind: %v", left)
			}
			time.Sleep(20 * time.Millisecond)
		}
		r.stop()
		if err := prune.All(t.Context(), r.engine, r.opts.Instance, r.opts.Root); err != nil {
			t.Fatal(err)
		}
		for _, top := range (usage.Cgroups{}).Hierarchies() {
			if _, err := os.Stat(filepath.Join(top, limits.InstancePath(r.opts.Instance))); !os.IsNotExist(err) {
				t.Errorf("left below %s: %v", top, err)
			}
		}
	})
}
