package runtime

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/node"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// other is the agent of a second node over the rig's engine.
type other struct {
	*Agent
	end func() // lets it go silent
}

// addNode makes a Node, as whoever adds one does, and runs its agent.
func (r *rig) addNode(name string) other {
	r.t.Helper()
	_, err := r.client.CoreV1().Nodes().Create(r.t.Context(), &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.runNode(name)
}

// runNode runs the agent of a node that was added.
func (r *rig) runNode(name string) other {
	r.t.Helper()
	opts := r.opts
	opts.NodeName, opts.Added = name, true
	opts.HostIP, opts.PodRange = netip.MustParseAddr("10.244.0.129"), netip.MustParsePrefix("10.244.0.128/26")
	factory := informers.NewSharedInformerFactory(r.client, 0)
	agent, err := newAgent(r.client, factory, r.engine, nil, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	agent.recorder, agent.statuses.Pause = r.events, rigPause
	agent.cgroups, agent.mirror.Cgroups = r.groups, r.groups
	ctx, cancel := context.WithCancel(r.t.Context())
	factory.Start(ctx.Done())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	r.settle()
	return other{agent, func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run of %s ended with %v", name, err)
		}
		factory.Shutdown()
	}}
}

// on binds a Pod to another node than the rig's.
func on(node string) func(*v1.Pod) { return func(p *v1.Pod) { p.Spec.NodeName = node } }

func TestNodesShareAnEngineAndNoPods(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		second := r.addNode("second")
		r.pod("here", nil)
		r.pod("there", on("second"))
		r.wantState("here", "app", "running 0")
		r.wantState("there", "app", "running 0")
		for pod, want := range map[string]string{"here": "", "there": "second"} {
			for _, name := range []string{"k8s_app_" + pod + "_ns_uid-" + pod + "_0", podSandbox(pod, 0)} {
				if got := r.engine.get(name).Labels[docker.LabelNode]; got != want {
					t.Errorf("%s is of node %q, want %q", name, got, want)
				}
			}
		}
		if ip := r.get("there").Status.PodIP; ip != "10.244.0.130" {
			t.Errorf("the second node's Pod has the address %s", ip)
		}
		if ip := r.get("there").Status.HostIP; ip != "10.244.0.129" {
			t.Errorf("the second node's address is %s", ip)
		}
		// A silent node's containers go on, whatever is deleted meanwhile, and whatever the others do.
		second.end()
		r.delete("there", 30)
		r.restartDaemon()
		r.wantNames(podSandbox("here", 0)+" running", podSandbox("there", 0)+" running", "k8s_app_here_ns_uid-here_0 running", "k8s_app_there_ns_uid-there_0 running")
		if err := r.agent.StopPods(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.engine.get("k8s_app_here_ns_uid-here_0").Running() || !r.engine.get("k8s_app_there_ns_uid-there_0").Running() {
			t.Error("the first node's stop is not that of its own Pods alone")
		}
		// When it comes back it ends what was deleted.
		second = r.runNode("second")
		if r.get("there") != nil || strings.Contains(strings.Join(r.engine.names(), " "), "there") {
			t.Errorf("the deleted Pod is there still: %v", r.engine.names())
		}
		second.end()
	})
}

// restartDaemon lets the rig's agent end and another one take its place.
func (r *rig) restartDaemon() {
	r.stop()
	r.start()
}

func TestAnAgentLeavesTheInformersThatOthersUse(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		factory := informers.NewSharedInformerFactory(r.client, 0)
		opts := r.opts
		opts.NodeName, opts.Added = "second", true
		for range 2 { // as a node that is stopped and started
			agent, err := newAgent(r.client, factory, r.engine, nil, opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(agent.handlers.remove) != 5 {
				t.Errorf("%d handlers, want those of Pods, ConfigMaps, Secrets, claims and volumes", len(agent.handlers.remove))
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := agent.Run(ctx); err != nil || len(agent.handlers.remove) != 0 {
				t.Errorf("after its end %d handlers are left, %v", len(agent.handlers.remove), err)
			}
		}
		factory.Shutdown()
	})
}

func TestNodesDivideTheMachine(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		alone := r.node().Status
		r.opts.Sharing = func() int { return 4 }
		r.restartDaemon()
		shared := r.node().Status
		for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage} {
			for kind, lists := range map[string][2]v1.ResourceList{"capacity": {alone.Capacity, shared.Capacity}, "allocatable": {alone.Allocatable, shared.Allocatable}} {
				whole, part := lists[0][name], lists[1][name]
				if got, want := part.MilliValue(), whole.MilliValue()/4; got > want || got < want-1000 {
					t.Errorf("%s of %s is %s of %s", kind, name, part.String(), whole.String())
				}
			}
		}
		if alone.Capacity.Pods().Value() != shared.Capacity.Pods().Value() {
			t.Errorf("%s Pods in place of %s", shared.Capacity.Pods(), alone.Capacity.Pods())
		}
		// What the machine uses is not what this node does.
		var summary statsv1alpha1.Summary
		if err := json.Unmarshal(r.ask("/stats/summary").Body.Bytes(), &summary); err != nil {
			t.Fatal(err)
		}
		if summary.Node.CPU == nil || summary.Node.CPU.UsageNanoCores == nil || summary.Node.Memory == nil || *summary.Node.Memory.WorkingSetBytes != 0 {
			t.Errorf("a node without Pods uses %+v, %+v", summary.Node.CPU, summary.Node.Memory)
		}
	})
}

func TestAnAddedNodeDoesNotRegisterItself(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		second := r.runNode("second")
		r.after(3 * node.CheckPeriod)
		if list, err := r.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
			t.Errorf("nodes %v, %v", list.Items, err)
		}
		second.end()
		second = r.addNode("third")
		if err := r.client.CoreV1().Nodes().Delete(t.Context(), "third", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.after(3 * node.CheckPeriod)
		if list, err := r.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
			t.Errorf("nodes %v, %v: it came back though somebody took it away", list.Items, err)
		}
		second.end()
	})
}

func TestAnAddedNodeNeedsAnAddress(t *testing.T) {
	_, err := Options{Instance: "i", NodeName: "n", Root: "/", Network: docker.NetworkSpec{Name: "n"}, Added: true}.complete()
	if err == nil || !strings.Contains(err.Error(), "HostIP") {
		t.Errorf("got %v", err)
	}
}

func TestPodsOfOtherNodesAreNotListed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		second := r.addNode("second")
		r.pod("here", nil)
		r.pod("there", on("second"))
		w := httptest.NewRecorder()
		second.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pods", nil))
		if text := w.Body.String(); !strings.Contains(text, `"there"`) || strings.Contains(text, `"here"`) {
			t.Errorf("the second node's Pods: %s", text)
		}
		second.end()
	})
}
