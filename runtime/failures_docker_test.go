package runtime

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nothingLeft wants no container, mount or directory of the rig's Pods.
func (r *dockerRig) nothingLeft() {
	r.t.Helper()
	r.noContainers()
	pods := pods.Dirs{Root: r.opts.Root}.All()
	deadline := time.Now().Add(patience)
	for {
		dirs, err := os.ReadDir(pods)
		mounts, mountErr := volume.MountedBelow(pods)
		if err == nil && mountErr == nil && len(dirs) == 0 && len(mounts) == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("left behind: directories %v, mounts %v, %v, %v", dirs, mounts, err, mountErr)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// byHand runs a docker command on a Pod's container, as a user may.
func (r *dockerRig) byHand(pod *v1.Pod, container string, attempt int, args ...string) {
	r.t.Helper()
	name := pods.DockerName(pods.RefOf(pod), container, attempt)
	if out, err := exec.Command("docker", append(args, name)...).CombinedOutput(); err != nil {
		r.t.Fatalf("docker %v %s: %v: %s", args, name, err, out)
	}
}

// restarted wants exactly so many restarts of a Pod's first container, and a ready Pod.
func (r *dockerRig) restarted(name string, count int32) *v1.Pod {
	r.t.Helper()
	return r.await(name, fmt.Sprintf("ready after %d restarts", count), func(p *v1.Pod) bool {
		return ready(p) && p.Status.ContainerStatuses[0].RestartCount == count
	})
}

func TestWhatIsDoneToAContainerByHandIsRepaired(t *testing.T) {
	for name, test := range map[string]struct {
		container string
		args      []string
		restarts  int32
	}{
		"removed":           {"app", []string{"rm", "--force"}, 1},
		"killed":            {"app", []string{"kill"}, 1},
		"stopped":           {"app", []string{"stop", "--time=1"}, 1},
		"sandbox killed":    {"POD", []string{"kill"}, 1},
		"sandbox removed":   {"POD", []string{"rm", "--force"}, 1},
		"sandbox restarted": {"POD", []string{"restart", "--time=1"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newDockerRig(t)
			r.create("web", r.container("app", "sleep"))
			pod := r.await("web", "ready", ready)
			r.byHand(pod, test.container, 0, test.args...)
			r.restarted("web", test.restarts)
			r.markDeleted("web")
			r.await("web", "gone", gone)
			r.nothingLeft()
		})
	}
}

func TestAllContainersOfAPodRemovedOnDockerComeBackOnce(t *testing.T) {
	r := newDockerRig(t)
	r.create("web", r.container("one", "sleep"), r.container("two", "sleep"))
	pod := r.await("web", "ready", ready)
	args := []string{"rm", "--force"}
	for _, c := range []string{"one", "two"} {
		args = append(args, pods.DockerName(pods.RefOf(pod), c, 0))
	}
	r.byHand(pod, "POD", 0, args...)
	pod = r.restarted("web", 1)
	if n := pod.Status.ContainerStatuses[1].RestartCount; n != 1 {
		t.Errorf("the other one has %d restarts", n)
	}
	r.markDeleted("web")
	r.await("web", "gone", gone)
	r.nothingLeft()
}

func TestPausedContainerIsLeftAlone(t *testing.T) {
	r := newDockerRig(t)
	r.create("web", r.container("app", "sleep"))
	pod := r.await("web", "ready", ready)
	r.byHand(pod, "app", 0, "pause")
	r.create("other", r.container("app", "sleep")) // life goes on
	r.await("other", "ready", ready)
	r.byHand(pod, "app", 0, "unpause")
	r.restarted("web", 0)
	r.byHand(pod, "app", 0, "pause") // and can be deleted though it heeds no signal
	r.markDeleted("web")
	r.markDeleted("other")
	r.await("web", "gone", gone)
	r.await("other", "gone", gone)
	r.nothingLeft()
}

// starts counts how often each container is started, whoever does it.
type starts struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

func (*starts) Connected()         {}
func (*starts) Disconnected(error) {}
func (s *starts) Event(e docker.Event) {
	if e.Action == "start" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count[e.ID]++
	}
}

// killedAfter declares a Pod, ends the agent right after its nth step, and starts another.
// It returns false when there were fewer steps.
func (r *dockerRig) killedAfter(n int, story func()) bool {
	r.t.Helper()
	var steps atomic.Int32
	killed := make(chan struct{})
	var telling atomic.Bool // before, the agent is only just coming up
	r.stop()
	r.step = func(string) {
		if telling.Load() && int(steps.Add(1)) == n {
			r.end()
			close(killed)
		}
	}
	r.start()
	telling.Store(true)
	story()
	reached := false
	select {
	case <-killed:
		reached = true
	case <-time.After(3 * time.Second):
	}
	r.stop()
	r.step = nil
	r.start()
	return reached
}

func TestAgentKilledOnDockerStartsNothingTwice(t *testing.T) {
	r := newDockerRig(t)
	seen := &starts{count: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { r.engine.Watch(ctx, docker.InstanceLabel(r.opts.Instance), seen) })
	defer watching.Wait()
	defer cancel()
	for n := 1; ; n++ {
		name := fmt.Sprintf("web-%d", n)
		reached := r.killedAfter(n, func() {
			r.declare(name, func(p *v1.Pod) {
				p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory}}}}
				init, main := r.container("init", "exit=0"), r.container("app", "sleep")
				main.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
				main.Lifecycle = &v1.Lifecycle{PostStart: &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"/actor", "write=/v/x=y"}}}}
				p.Spec.InitContainers, p.Spec.Containers = []v1.Container{init}, []v1.Container{main}
			})
		})
		r.restarted(name, 0)
		r.markDeleted(name)
		r.await(name, "gone", gone)
		if !reached {
			t.Logf("a start has %d steps", n-1)
			break
		}
	}
	r.nothingLeft()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for id, count := range seen.count {
		if count != 1 {
			t.Errorf("container %s was started %d times", id, count)
		}
	}
}

func TestAgentKilledOnDockerEndsWhatItBegan(t *testing.T) {
	r := newDockerRig(t)
	for n := 1; ; n++ {
		name := fmt.Sprintf("web-%d", n)
		r.declare(name, func(p *v1.Pod) {
			c := r.container("app", "sleep")
			c.Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"/actor", "exit=0"}}}}
			p.Spec.Containers = []v1.Container{c}
		})
		r.await(name, "ready", ready)
		reached := r.killedAfter(n, func() { r.markDeleted(name) })
		r.await(name, "gone", gone)
		if !reached {
			t.Logf("an end has %d steps", n-1)
			break
		}
	}
	r.nothingLeft()
}

func TestPodIsDeletedInTheMiddleOfItsStart(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a registry that accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	hang := &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"/actor", "sleep"}}}
	for name, change := range map[string]func(*dockerRig, *v1.PodSpec){
		"while its image is being pulled": func(r *dockerRig, s *v1.PodSpec) {
			s.Containers = []v1.Container{{Name: "app", Image: silent.Addr().String() + "/far/away:1", ImagePullPolicy: v1.PullAlways}}
		},
		"while its init container runs": func(r *dockerRig, s *v1.PodSpec) {
			s.InitContainers, s.Containers = []v1.Container{r.container("init", "sleep")}, []v1.Container{r.container("app", "sleep")}
		},
		"while its postStart hangs": func(r *dockerRig, s *v1.PodSpec) {
			s.Containers = []v1.Container{r.container("app", "sleep")}
			s.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: hang}
		},
		"while its preStop hangs": func(r *dockerRig, s *v1.PodSpec) {
			s.Containers = []v1.Container{r.container("app", "sleep")}
			s.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: hang}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newDockerRig(t)
			r.declare("web", func(p *v1.Pod) { change(r, &p.Spec) })
			r.await("web", "under way", func(p *v1.Pod) bool { return p.Status.PodIP != "" || len(r.containers()) > 1 })
			r.markDeleted("web")
			r.await("web", "gone", gone)
			r.nothingLeft()
		})
	}
}

func TestSixtyPodsCreatedAndDeletedAtOnce(t *testing.T) {
	r := newDockerRig(t)
	const count = 60
	name := func(n int) string { return fmt.Sprintf("web-%d", n) }
	for n := range count {
		r.create(name(n), r.container("app", "sleep"))
	}
	r.await(name(0), "ready", ready) // some run now, some start, some wait
	for n := range count {
		r.markDeleted(name(n))
	}
	for n := range count {
		r.await(name(n), "gone", gone)
	}
	r.nothingLeft()
}

func TestConfigMapThatVanishes(t *testing.T) {
	r := newDockerRig(t)
	maps := r.client.CoreV1().ConfigMaps("default")
	config := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cm"}, Data: map[string]string{"color": "red"}}
	if _, err := maps.Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := func(name string) *v1.Pod {
		return r.declare(name, func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}}}}}
			c := r.container("app", "file=/v/color=red", "sleep")
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			p.Spec.Containers = []v1.Container{c}
		})
	}
	before := pod("before")
	r.await("before", "ready", ready)
	if err := maps.Delete(t.Context(), "cm", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.byHand(before, "app", 0, "kill")
	r.restarted("before", 1) // with the files that it had
	pod("after")
	r.awaitEvent("after", "FailedMount", `configmap "cm" not found`)
	config.ResourceVersion = ""
	if _, err := maps.Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await("after", "ready", ready)
}

// awaitEvent waits for an event of a Pod.
func (r *dockerRig) awaitEvent(pod, reason, part string) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		list, err := r.client.CoreV1().Events("default").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		var all []string
		for _, e := range list.Items {
			if e.InvolvedObject.Name == pod {
				all = append(all, e.Reason+": "+e.Message)
				if e.Reason == reason && strings.Contains(e.Message, part) {
					return
				}
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("no event %s with %q among %q", reason, part, all)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestFullDiskHealsWhenThereIsRoom(t *testing.T) {
	r := newDockerRig(t)
	r.stop()
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	r.opts.Root = root
	r.start()
	ballast := filepath.Join(root, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	config := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cm"}, Data: map[string]string{"big": strings.Repeat("x", 100<<10)}}
	if _, err := r.client.CoreV1().ConfigMaps("default").Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.declare("web", func(p *v1.Pod) {
		p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}}}}}
		p.Spec.Containers = []v1.Container{r.container("app", "sleep")}
	})
	r.awaitEvent("web", "FailedMount", "no space left on device")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r.await("web", "ready", ready)
	r.markDeleted("web")
	r.await("web", "gone", gone)
	r.nothingLeft()
}
