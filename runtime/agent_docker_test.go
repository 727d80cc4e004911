package runtime

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/status"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// patience is how long a test waits for what should happen soon, on a machine that is
// busy with other tests.
const patience = 2 * time.Minute

// dockerRig is an agent on a real Docker Engine and client-go's fake API, with an
// instance, a network and an image of its own.
type dockerRig struct {
	t      testing.TB
	engine *docker.Engine
	client kubernetes.Interface
	opts   Options
	image  string
	agent  *Agent
	end    context.CancelFunc
	step   func(act string) // called after each act of the agents that are started from then on
	ended  chan error
}

func newDockerRig(t testing.TB) *dockerRig {
	t.Helper()
	engine, err := docker.Connect(t.Context(), "", nil)
	if err != nil {
		t.Skipf("needs Docker: %v", err)
	}
	unique := fmt.Sprintf("t%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	r := &dockerRig{
		t: t, engine: engine, client: newFakeAPI(), image: "kube-lite-test/" + unique + ":actor",
		opts: Options{
			Instance: unique, NodeName: "node", Root: t.TempDir(),
			Log: slog.New(slog.NewTextHandler(&testWriter{t: t}, nil)),
		},
	}
	t.Cleanup(r.cleanup)
	r.opts.Network = r.makeNetwork()
	r.opts.HostIP, r.opts.DNSServer = r.opts.Network.Gateway, r.opts.Network.Gateway
	importTestImage(t, engine, r.image)
	r.start()
	return r
}

// makeNetwork makes the instance's network somewhere in 10.231.0.0/16, where no other
// run of the tests has one.
func (r *dockerRig) makeNetwork() docker.NetworkSpec {
	r.t.Helper()
	for attempt := range 100 {
		third := byte(os.Getpid() + attempt*37)
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 231, third, 0}), 24)
		spec := docker.NetworkSpec{
			Name: docker.NetworkName(r.opts.Instance), Bridge: "kl" + r.opts.Instance[len(r.opts.Instance)-8:], Subnet: prefix,
			Gateway: prefix.Addr().Next(), Labels: docker.InstanceLabel(r.opts.Instance),
		}
		err := r.engine.EnsureNetwork(r.t.Context(), spec)
		if err == nil {
			return spec
		}
		if !strings.Contains(err.Error(), "overlaps") {
			r.t.Fatal(err)
		}
	}
	r.t.Fatal("no free range for a network")
	return docker.NetworkSpec{}
}

// testWriter logs to the test while it runs.
type testWriter struct{ t testing.TB }

func (w *testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// start runs an agent, as a daemon does at its start.
func (r *dockerRig) start() {
	r.t.Helper()
	factory := informers.NewSharedInformerFactory(r.client, 0)
	agent, err := New(r.client, factory, r.engine, r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.step != nil {
		agent.step = r.step
	}
	ctx, cancel := context.WithCancel(context.Background())
	factory.Start(ctx.Done())
	r.agent, r.end, r.ended = agent, cancel, make(chan error, 1)
	go func() { r.ended <- agent.Run(ctx) }()
}

// stop ends the agent, as if the daemon had ended.
func (r *dockerRig) stop() {
	r.t.Helper()
	if r.end == nil {
		return
	}
	r.end()
	r.end = nil
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("Run ended with %v", err)
		}
	case <-time.After(patience):
		r.t.Error("Run does not end")
	}
}

func (r *dockerRig) cleanup() {
	r.stop()
	ctx := context.Background()
	for _, labels := range []map[string]string{docker.InstanceLabel(r.opts.Instance), {benchLabel: r.opts.Instance}} {
		left, err := r.engine.List(ctx, labels)
		if err != nil {
			r.t.Error(err)
		}
		for _, c := range left {
			if err := r.engine.Remove(ctx, c.ID); err != nil {
				r.t.Error(err)
			}
		}
	}
	if err := limits.RemoveGroups(usage.Cgroups{}, limits.InstancePath(r.opts.Instance)); err != nil {
		r.t.Error(err)
	}
	if err := volume.UnmountBelow(r.opts.Root); err != nil {
		r.t.Error(err)
	}
	switch err := r.engine.RemoveNetwork(ctx, docker.NetworkName(r.opts.Instance)); {
	case errors.Is(err, docker.ErrEndpointMiscounted):
		r.t.Log(err) // the engine's doing, and its to mend
	case err != nil:
		r.t.Error(err)
	}
	if err := r.engine.RemoveImage(ctx, r.image, true); err != nil {
		r.t.Error(err)
	}
	_ = r.engine.Close()
}

// importTestImage builds testdata/actor and makes an image of it.
func importTestImage(t testing.TB, engine *docker.Engine, ref string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "actor")
	build := exec.Command("go", "build", "-o", binary, "./testdata/actor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build actor: %v\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		tar.Header
		content string
	}{
		{tar.Header{Name: "actor", Mode: 0o755}, string(program)},
		{tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0::/:\nworker:x:4001:4001::/:\n"},
		{tar.Header{Name: "lib/group", Mode: 0o644}, "root:x:0:\nworker:x:4001:\nextra:x:50000:worker\n"},
		{tar.Header{Name: "etc/group", Typeflag: tar.TypeSymlink, Linkname: "../lib/group"}, ""},
	} {
		f.Size = int64(len(f.content))
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(f.content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Import(t.Context(), &archive, ref, `ENTRYPOINT ["/actor"]`); err != nil {
		t.Fatal(err)
	}
}

// create declares a Pod that is bound to the node already.
func (r *dockerRig) create(name string, containers ...v1.Container) *v1.Pod {
	r.t.Helper()
	return r.declare(name, func(p *v1.Pod) { p.Spec.Containers = containers })
}

// declare declares a Pod, with what change does to it.
func (r *dockerRig) declare(name string, change func(*v1.Pod)) *v1.Pod {
	r.t.Helper()
	grace := int64(5)
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(r.opts.Instance + "-" + name), Generation: 1},
		Spec: v1.PodSpec{
			NodeName: "node", RestartPolicy: v1.RestartPolicyAlways, DNSPolicy: v1.DNSClusterFirst,
			TerminationGracePeriodSeconds: &grace,
		},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	change(pod)
	pod, err := r.client.CoreV1().Pods("default").Create(r.t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return pod
}

func (r *dockerRig) container(name string, args ...string) v1.Container {
	return v1.Container{Name: name, Image: r.image, ImagePullPolicy: v1.PullIfNotPresent, Args: args}
}

func (r *dockerRig) get(name string) *v1.Pod {
	pod, err := r.client.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return pod
}

// await waits until a Pod is as described; a nil Pod is one that is gone.
func (r *dockerRig) await(name, what string, holds func(*v1.Pod) bool) *v1.Pod {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		pod := r.get(name)
		if holds(pod) {
			return pod
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("pod %s never came to be %s: %+v", name, what, pod)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func ready(pod *v1.Pod) bool { return pod != nil && status.IsReady(pod.Status) }

func gone(pod *v1.Pod) bool { return pod == nil }

// markDeleted does what the API server does to a running Pod on delete.
func (r *dockerRig) markDeleted(name string) {
	r.t.Helper()
	r.update(name, func(pod *v1.Pod) {
		grace := *pod.Spec.TerminationGracePeriodSeconds
		at := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second))
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace
	})
}

// update changes a Pod, beside the agent, which writes its status meanwhile.
func (r *dockerRig) update(name string, change func(*v1.Pod)) {
	r.t.Helper()
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		pod := r.get(name).DeepCopy()
		change(pod)
		_, err := r.client.CoreV1().Pods("default").Update(r.t.Context(), pod, metav1.UpdateOptions{})
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
}

// containers are what Docker has of the instance, by container name.
func (r *dockerRig) containers() map[string]docker.Container {
	r.t.Helper()
	found, err := r.engine.List(context.Background(), docker.InstanceLabel(r.opts.Instance))
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]docker.Container{}
	for _, c := range found {
		out[c.Name] = c
	}
	return out
}

// synced waits until the agent that was started last has looked at a Pod.
func (r *dockerRig) synced(name string) {
	r.t.Helper()
	uid := r.get(name).UID
	deadline := time.Now().Add(patience)
	for {
		_, seen := r.agent.statuses.Latest(uid)
		if seen {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the agent never looks at pod %s", name)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *dockerRig) noContainers() {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for len(r.containers()) > 0 {
		if time.Now().After(deadline) {
			r.t.Fatalf("containers are left: %v", r.containers())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestPodRunsOnDockerFromDeclarationToDeletion(t *testing.T) {
	r := newDockerRig(t)
	began := time.Now()
	pod := r.create("web", r.container("one", "sleep"), r.container("two", "sleep"))
	pod = r.await("web", "ready", ready)
	t.Logf("ready after %v", time.Since(began))

	t.Run("its status says so", func(t *testing.T) {
		if pod.Status.Phase != v1.PodRunning || pod.Status.PodIP == "" || pod.Status.HostIP != r.opts.HostIP.String() {
			t.Errorf("phase %s, podIP %q, hostIP %q", pod.Status.Phase, pod.Status.PodIP, pod.Status.HostIP)
		}
		for _, s := range pod.Status.ContainerStatuses {
			if !s.Ready || s.State.Running == nil || !strings.HasPrefix(s.ContainerID, "docker://") || s.RestartCount != 0 {
				t.Errorf("container %+v", s)
			}
		}
	})
	t.Run("names and labels are dockershim's", func(t *testing.T) {
		have := r.containers()
		for _, name := range []string{"POD", "one", "two"} {
			c, ok := have["k8s_"+name+"_web_default_"+string(pod.UID)+"_0"]
			if !ok || c.Labels["io.kubernetes.container.name"] != name || c.Labels["io.kubernetes.pod.name"] != "web" {
				t.Errorf("container %s: %+v among %v", name, c, have)
			}
		}
	})
	t.Run("a restarted agent adopts it untouched", func(t *testing.T) {
		before := r.containers()
		r.stop()
		r.start()
		r.await("web", "ready", ready)
		r.synced("web")
		after := r.containers()
		for name, c := range before {
			if after[name].ID != c.ID || after[name].Status != docker.StatusRunning {
				t.Errorf("%s was %s, is %+v", name, c.ID, after[name])
			}
		}
	})
	t.Run("a killed container is restarted", func(t *testing.T) {
		if err := r.engine.Kill(t.Context(), "k8s_one_web_default_"+string(pod.UID)+"_0", "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		pod := r.await("web", "restarted", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
		last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated
		if last == nil || last.ExitCode != 137 || last.Reason != "Error" {
			t.Errorf("last state %+v", last)
		}
		if pod.Status.ContainerStatuses[1].RestartCount != 0 {
			t.Errorf("the other one was restarted too")
		}
	})
	t.Run("a killed sandbox rebuilds the pod", func(t *testing.T) {
		if err := r.engine.Kill(t.Context(), "k8s_POD_web_default_"+string(pod.UID)+"_0", "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		r.await("web", "rebuilt", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[1].RestartCount == 1 })
		if _, ok := r.containers()["k8s_POD_web_default_"+string(pod.UID)+"_1"]; !ok {
			t.Errorf("no new sandbox among %v", r.containers())
		}
	})
	t.Run("deletion removes it all", func(t *testing.T) {
		r.markDeleted("web")
		r.await("web", "gone", gone)
		r.noContainers()
		if _, err := os.Stat(r.agent.dirs.Pod(pod.UID)); !os.IsNotExist(err) {
			t.Errorf("its directory is left: %v", err)
		}
	})
}
