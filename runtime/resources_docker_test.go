package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// instanceOf finds a container of a Pod as Docker has it.
func (r *dockerRig) instanceOf(pod *v1.Pod, container string, attempt int) docker.Container {
	r.t.Helper()
	c, err := r.engine.Inspect(r.t.Context(), pods.DockerName(pods.RefOf(pod), container, attempt))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// cgroupFile reads a file of a container's cgroup, under its name in version 1 or 2.
func cgroupFile(t *testing.T, pid int, controller, one, two string) string {
	t.Helper()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	path := ""
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if strings.Contains(","+parts[1]+",", ","+controller+",") {
			path = filepath.Join("/sys/fs/cgroup", parts[1], parts[2], one)
			break
		} else if parts[0] == "0" {
			path = filepath.Join("/sys/fs/cgroup", parts[2], two)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// limitsOf are a container's bounds as the kernel has them.
func limitsOf(t *testing.T, c docker.Container) (memory, cpu string) {
	t.Helper()
	return cgroupFile(t, c.PID, "memory", "memory.limit_in_bytes", "memory.max"), cgroupFile(t, c.PID, "cpu", "cpu.cfs_quota_us", "cpu.max")
}

func TestResourcesOnDocker(t *testing.T) {
	r := newDockerRig(t)
	job := func(name string, change func(*v1.Pod)) {
		r.declare(name, func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever; change(p) })
	}

	t.Run("a volume in memory has a size, is shared and outlives its containers", func(t *testing.T) {
		size := resource.MustParse("1Mi")
		pod := r.declare("memory", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory, SizeLimit: &size}}}}
			group, user := int64(4321), int64(1234)
			p.Spec.SecurityContext = &v1.PodSecurityContext{FSGroup: &group, RunAsUser: &user}
			p.Spec.Containers = []v1.Container{
				r.container("one", "fill=/v/half=500000", "full=/v/more=800000", "file=/v/half=xxx", "sleep"),
				r.container("two", "file=/v/half=xxx", "sleep"),
			}
			for n := range p.Spec.Containers {
				p.Spec.Containers[n].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			}
		})
		r.await("memory", "ready", ready)
		path := r.agent.dirs.Volume(pod.UID, pod.Spec.Volumes[0])
		deadline := time.Now().Add(patience)
		for mode := os.FileMode(0); ; time.Sleep(20 * time.Millisecond) {
			if info, err := os.Stat(filepath.Join(path, "half")); err == nil && info.Size() == 500000 {
				dir, _ := os.Stat(path)
				if mode = dir.Mode(); mode&(os.ModeSetgid|os.ModeSticky|os.ModePerm) != os.ModeSetgid|os.ModeSticky|os.ModePerm {
					t.Errorf("its mode is %v", mode)
				}
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("it is never filled: %v", err)
			}
		}
		if err := r.engine.Kill(t.Context(), pods.DockerName(pods.RefOf(pod), "two", 0), "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		r.await("memory", "restarted", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[1].RestartCount == 1 })
		r.stop() // another life of the agent finds it as it is
		r.start()
		r.synced("memory")
		if mounted, err := volume.MountedBelow(path); err != nil || len(mounted) != 1 {
			t.Errorf("mounted are %v, %v", mounted, err)
		}
		r.stop() // the Pod is deleted while nobody looks
		if err := r.client.CoreV1().Pods("default").Delete(t.Context(), "memory", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.unmounted(pod)
		deadline = time.Now().Add(patience)
		for _, err := os.Stat(r.agent.dirs.Pod(pod.UID)); !os.IsNotExist(err); _, err = os.Stat(r.agent.dirs.Pod(pod.UID)) {
			if time.Now().After(deadline) {
				t.Fatalf("its directory is left: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("a volume in memory goes when its Pod is over", func(t *testing.T) {
		job("over", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory}}}}
			c := r.container("one", "write=/v/x=y")
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			p.Spec.Containers = []v1.Container{c}
		})
		pod := r.finished("over")
		r.unmounted(pod)
	})
	t.Run("OOMKilled is told from a plain 137", func(t *testing.T) {
		little := amounts("memory", "16Mi")
		hungry, killed, parent := r.container("hungry", "eat"), r.container("killed", "sleep"), r.container("parent", "child=eat", "exit=7")
		hungry.Resources.Limits, killed.Resources.Limits, parent.Resources.Limits = little, little, amounts("memory", "64Mi")
		pod := r.create("oom", hungry, killed)
		job("child", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{parent} })
		r.await("oom", "running", func(p *v1.Pod) bool {
			return p.Status.Phase == v1.PodRunning && p.Status.ContainerStatuses[1].State.Running != nil
		})
		if err := r.engine.Kill(t.Context(), pods.DockerName(pods.RefOf(pod), "killed", 0), "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		p := r.await("oom", "restarted", func(p *v1.Pod) bool {
			s := p.Status.ContainerStatuses
			return s[0].LastTerminationState.Terminated != nil && s[1].LastTerminationState.Terminated != nil
		})
		for n, want := range []string{"OOMKilled", "Error"} {
			if last := p.Status.ContainerStatuses[n].LastTerminationState.Terminated; last.Reason != want || last.ExitCode != 137 {
				t.Errorf("container %s ended with %+v", p.Status.ContainerStatuses[n].Name, last)
			}
		}
		// The kernel ended a child, and the program went on: to a kubelet the container ran
		// out of memory all the same, with the exit code that it chose.
		p = r.await("child", "failed", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
		if last := p.Status.ContainerStatuses[0].State.Terminated; last.Reason != "OOMKilled" || last.ExitCode != 7 {
			t.Errorf("the parent of a child that was ended: %+v", last)
		}
	})
	t.Run("what is declared is what the kernel enforces, and a resize changes it", func(t *testing.T) {
		c := r.container("one", "sleep")
		c.Resources = v1.ResourceRequirements{Requests: amounts("cpu", "100m"), Limits: amounts("cpu", "500m", "memory", "64Mi")}
		pod := r.create("sized", c)
		r.await("sized", "ready", ready)
		before := r.instanceOf(pod, "one", 0)
		if memory, cpu := limitsOf(t, before); memory != "67108864" || !strings.HasPrefix(cpu, "50000") {
			t.Errorf("memory %s, CPU %s", memory, cpu)
		}
		score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", before.PID))
		if want := strconv.Itoa(r.agent.oomScores.Of(pod, &c)); err != nil || strings.TrimSpace(string(score)) != want {
			t.Errorf("its OOM score is %s, want %s", score, want)
		}
		r.resize("sized", amounts("cpu", "200m"), amounts("cpu", "250m", "memory", "32Mi"))
		r.await("sized", "resized", func(p *v1.Pod) bool {
			s := p.Status.ContainerStatuses[0]
			return s.Resources != nil && s.Resources.Limits.Memory().String() == "32Mi" && s.AllocatedResources.Cpu().String() == "200m"
		})
		after := r.instanceOf(pod, "one", 0)
		if memory, cpu := limitsOf(t, after); memory != "33554432" || !strings.HasPrefix(cpu, "25000") || after.PID != before.PID {
			t.Errorf("memory %s, CPU %s, process %d was %d", memory, cpu, after.PID, before.PID)
		}
		r.eventually("sized", "ResizeCompleted: Pod resize completed: ")
	})
	t.Run("a Pod that takes too much disk space is evicted", func(t *testing.T) {
		c, d := r.container("one", "fill=/big=3000000", "sleep"), r.container("two", "sleep")
		c.Resources.Limits, d.Resources.Limits = amounts("ephemeral-storage", "1Mi"), amounts("ephemeral-storage", "100Mi")
		r.create("greedy", c, d)
		p := r.await("greedy", "evicted", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
		if p.Status.Reason != "Evicted" || p.Status.Message != `Container one exceeded its local ephemeral storage limit "1Mi". ` {
			t.Errorf("%s: %q", p.Status.Reason, p.Status.Message)
		}
		r.eventually("greedy", "Evicted: Container one exceeded")
	})
}

// unmounted waits until nothing is mounted for a Pod.
func (r *dockerRig) unmounted(pod *v1.Pod) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		mounted, err := volume.MountedBelow(r.agent.dirs.Pod(pod.UID))
		if err == nil && len(mounted) == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("left mounted: %v, %v", mounted, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// resize changes what a Pod's first container declares, as the subresource does.
func (r *dockerRig) resize(name string, requests, limits v1.ResourceList) {
	r.t.Helper()
	r.update(name, func(pod *v1.Pod) {
		pod.Generation++
		pod.Spec.Containers[0].Resources.Requests, pod.Spec.Containers[0].Resources.Limits = requests, limits
	})
}
