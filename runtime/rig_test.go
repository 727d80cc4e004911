package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/kube-lite/kube-lite/runtime/pause"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// rig is an agent on the fake engine and client-go's fake API, in a bubble where time
// passes only when everybody waits.
type rig struct {
	t       *testing.T
	engine  *fakeEngine
	client  *fake.Clientset
	opts    Options
	events  *eventList
	agent   *Agent
	end     func()
	cancel  func()
	step    func(act string)               // called after each act of the agent
	prepare func(*Agent)                   // called with each agent before it runs
	groups  usage.Cgroups                  // what the agents that are started from then on see of the kernel
	room    atomic.Pointer[node.Available] // what the machine has left; nil: nobody knows
}

// inBubble runs a test with a running agent. The image "app:1" is there.
func inBubble(t *testing.T, test func(*testing.T, *rig)) {
	root := t.TempDir()
	t.Cleanup(func() {
		if err := volume.UnmountBelow(root); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := &rig{
			t: t, events: &eventList{}, engine: newFakeEngine(pause.Ref, "app:1"), client: newFakeAPI(),
			opts: Options{
				Instance: "test", NodeName: "node", Root: root, HostIP: netip.MustParseAddr("10.244.0.1"),
				Network:   docker.NetworkSpec{Name: "pods", Bridge: "br0", Subnet: netip.MustParsePrefix("10.244.0.0/24"), Gateway: netip.MustParseAddr("10.244.0.1")},
				DNSServer: netip.MustParseAddr("10.96.0.10"), Log: slog.New(refusals{slog.DiscardHandler, t}),
			},
			groups: usage.Cgroups{Proc: filepath.Join(root, "proc"), Root: filepath.Join(root, "cgroup")}, // not this machine's
		}
		r.start()
		defer func() { r.stop() }()
		test(t, r)
	})
}

// refusals fails the test when the API refuses a status, which would be tried for ever.
type refusals struct {
	slog.Handler
	t *testing.T
}

func (refusals) Enabled(context.Context, slog.Level) bool { return true }

func (h refusals) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h refusals) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && apierrors.IsInvalid(err) {
			h.t.Errorf("%s: %v", r.Message, err)
		}
		return true
	})
	return nil
}

func (r *rig) start() {
	r.t.Helper()
	factory := informers.NewSharedInformerFactory(r.client, 0)
	agent, err := newAgent(r.client, factory, r.engine, nil, r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	agent.recorder = r.events
	agent.statuses.Pause = rigPause
	agent.node.Available = func() node.Available {
		if left := r.room.Load(); left != nil {
			return *left
		}
		return node.Available{}
	}
	agent.cgroups, agent.mirror.Cgroups = r.groups, r.groups
	agent.step = func(act string) {
		if r.step != nil {
			r.step(act)
		}
	}
	if r.prepare != nil {
		r.prepare(agent)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	factory.Start(ctx.Done())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	r.agent, r.cancel = agent, cancel
	r.end = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run ended with %v", err)
		}
		factory.Shutdown()
	}
	r.settle()
}

// stop ends the agent, as if the daemon had ended.
func (r *rig) stop() {
	if r.end != nil {
		r.end()
		r.end = nil
	}
}

// rigPause keeps settle short beside the times that tests are about.
const rigPause = 200 * time.Millisecond

// settle waits until everything that can happen now has happened.
func (r *rig) settle() {
	synctest.Wait()
	time.Sleep(2 * rigPause) // what is collected is written then
	synctest.Wait()
}

// after lets time pass.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	r.settle()
}

// pod declares a Pod on the node, with what change does to it.
func (r *rig) pod(name string, change func(*v1.Pod)) *v1.Pod {
	r.t.Helper()
	grace := int64(30)
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec: v1.PodSpec{
			NodeName: "node", RestartPolicy: v1.RestartPolicyAlways, DNSPolicy: v1.DNSClusterFirst,
			TerminationGracePeriodSeconds: &grace, Containers: []v1.Container{app("app")},
		},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	if change != nil {
		change(pod)
	}
	pod, err := r.client.CoreV1().Pods("ns").Create(r.t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return pod
}

// app is a container that needs nothing special.
func app(name string) v1.Container {
	return v1.Container{Name: name, Image: "app:1", ImagePullPolicy: v1.PullIfNotPresent}
}

func (r *rig) get(name string) *v1.Pod {
	r.t.Helper()
	pod, err := r.client.CoreV1().Pods("ns").Get(r.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return pod
}

// state is a container's state in a few words, such as "running 0" or
// "waiting CrashLoopBackOff 3".
func (r *rig) state(pod, container string) string {
	r.t.Helper()
	p := r.get(pod)
	if p == nil {
		return "gone"
	}
	s := pods.ContainerStatus(p, container)
	switch {
	case s == nil:
		return "unknown"
	case s.State.Running != nil:
		return fmt.Sprintf("running %d", s.RestartCount)
	case s.State.Waiting != nil:
		return fmt.Sprintf("waiting %s %d", s.State.Waiting.Reason, s.RestartCount)
	}
	return fmt.Sprintf("%s %d", s.State.Terminated.Reason, s.RestartCount)
}

func (r *rig) wantState(pod, container, want string) {
	r.t.Helper()
	if got := r.state(pod, container); got != want {
		r.t.Errorf("container %s of %s is %q, want %q", container, pod, got, want)
	}
}

func (r *rig) wantNames(want ...string) {
	r.t.Helper()
	if got := r.engine.names(); !slices.Equal(got, want) {
		r.t.Errorf("Docker has\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// delete does what the API server does on delete: a Pod on a node stays until the agent
// removes it, unless the grace period is 0.
func (r *rig) delete(name string, grace int64) {
	r.t.Helper()
	if grace == 0 {
		if err := r.client.CoreV1().Pods("ns").Delete(r.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			r.t.Fatal(err)
		}
		r.settle()
		return
	}
	pod := r.get(name).DeepCopy()
	at := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second))
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace
	if _, err := r.client.CoreV1().Pods("ns").Update(r.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

// eventList is a recorder that keeps what it is given, each "pod Reason: message". The
// real one names events by the time, which stands still here.
type eventList struct {
	mu  sync.Mutex // guards all
	all []string
}

func (l *eventList) Event(object runtime.Object, _, reason, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, object.(*v1.ObjectReference).Name+" "+reason+": "+message)
}

func (l *eventList) Eventf(object runtime.Object, kind, reason, format string, args ...any) {
	l.Event(object, kind, reason, fmt.Sprintf(format, args...))
}

func (l *eventList) AnnotatedEventf(object runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	l.Eventf(object, kind, reason, format, args...)
}

// reasons are the events of a Pod as "Reason: message", in order.
func (r *rig) reasons(pod string) (out []string) {
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	for _, e := range r.events.all {
		if text, ok := strings.CutPrefix(e, pod+" "); ok {
			out = append(out, text)
		}
	}
	return out
}

func (r *rig) wantEvent(pod, want string) {
	r.t.Helper()
	if !slices.ContainsFunc(r.reasons(pod), func(s string) bool { return strings.Contains(s, want) }) {
		r.t.Errorf("no event %q among\n\t%s", want, strings.Join(r.reasons(pod), "\n\t"))
	}
}
