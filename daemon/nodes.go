package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/runtime"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

// What says in the API which nodes the instance has. Whoever creates a Node with the label AgentLabel adds a node, who sets the
// label to AgentStopped lets a node go silent, and who deletes the Node takes the node away. The node that the instance began
// with needs no label.
const (
	AgentLabel   = "kube-lite.io/agent"
	AgentRunning = "running"
	AgentStopped = "stopped"
	// agentFinalizer keeps an added Node until its containers are gone.
	agentFinalizer = "kube-lite.io/agent"
)

// nodesRetry is the pause before nodes are looked at again when something failed.
const nodesRetry = time.Second

// nodes are the node agents of an instance: one for each of its Nodes, all in this process and over one engine. It makes what
// runs equal to the Nodes of the API.
type nodes struct {
	first    string // the node that the instance began with
	cfg      Config
	ranges   nodeRanges
	engine   *docker.Engine
	client   kubernetes.Interface
	newAgent func(runtime.Options) (*runtime.Agent, error)
	handler  func(*runtime.Agent) http.Handler // of a node's HTTP API; set it before run
	lister   corelisters.NodeLister
	pods     corelisters.PodLister
	listed   cache.InformerSynced

	changed chan struct{} // holds one token: that there is something to look at
	failed  chan error    // of an agent that ended by itself
	leaving sync.WaitGroup
	given   map[string]int // numbers of ranges, by the nodes that were given them; reconcile's own

	mu      sync.Mutex // guards what follows
	running map[string]*member
	leaves  map[string]bool // nodes that are being taken away
	sharing int             // as the agents were told
	stopped bool            // no agent is started any more
}

// member is a node whose agent runs.
type member struct {
	agent  *runtime.Agent
	api    *apiserver.MemoryListener
	cancel context.CancelFunc // nil before it was started
	done   chan struct{}
}

func newNodes(cfg Config, first string, ranges nodeRanges, engine *docker.Engine) *nodes {
	return &nodes{
		first: first, cfg: cfg, ranges: ranges, engine: engine,
		changed: make(chan struct{}, 1), failed: make(chan error, 1), given: map[string]int{},
		running: map[string]*member{}, leaves: map[string]bool{}, sharing: 1,
	}
}

// prepare makes the first node's agent, unless that is stopped, so that it asks for its informers before they are started,
// and follows the Nodes.
func (n *nodes) prepare(ctx context.Context, client kubernetes.Interface, shared informers.SharedInformerFactory,
	newAgent func(runtime.Options) (*runtime.Agent, error)) error {
	n.client, n.newAgent = client, newAgent
	n.lister, n.pods = shared.Core().V1().Nodes().Lister(), shared.Core().V1().Pods().Lister()
	informer := shared.Core().V1().Nodes().Informer()
	n.listed = informer.HasSynced
	look := func() { n.look() }
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { look() }, DeleteFunc: func(any) { look() },
		UpdateFunc: func(before, after any) {
			if differ(before.(*corev1.Node), after.(*corev1.Node)) {
				look()
			}
		},
	})
	if err != nil {
		return fmt.Errorf("follow nodes: %w", err)
	}
	first, err := client.CoreV1().Nodes().Get(ctx, n.first, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read the node %s: %w", n.first, err)
	}
	if err == nil && isStopped(first) {
		return nil
	}
	n.running[n.first], err = n.member(runtime.Options{NodeName: n.first, PodRange: n.ranges.of(0)})
	return err
}

// member makes a node's agent.
func (n *nodes) member(opts runtime.Options) (*member, error) {
	opts.Sharing = n.count
	agent, err := n.newAgent(opts)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", opts.NodeName, err)
	}
	return &member{agent: agent, api: apiserver.NewMemoryListener(), done: make(chan struct{})}, nil
}

// differ tells of a change that matters here; most are heartbeats.
func differ(a, b *corev1.Node) bool {
	return a.Labels[AgentLabel] != b.Labels[AgentLabel] || a.Spec.PodCIDR != b.Spec.PodCIDR ||
		(a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil)
}

// look has the nodes looked at.
func (n *nodes) look() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// dial connects to the HTTP API of a node's agent.
func (n *nodes) dial(ctx context.Context, node string) (net.Conn, error) {
	n.mu.Lock()
	m := n.running[node]
	n.mu.Unlock()
	if m == nil {
		return nil, fmt.Errorf("the agent of node %s does not run", node)
	}
	return m.api.Dial(ctx)
}

// isOurs tells of a Node that this daemon is the agent of.
func (n *nodes) isOurs(node *corev1.Node) bool {
	return node.Name == n.first || node.Labels[AgentLabel] != ""
}

// lives tells of a Node whose agent is to run in this process.
func (n *nodes) lives(node *corev1.Node) bool { return n.isOurs(node) && !isStopped(node) }

// all are the instance's Nodes, the oldest first. The first one may not be registered yet.
func (n *nodes) all() []*corev1.Node {
	found, _ := n.lister.List(labels.Everything()) // a lister cannot fail
	found = slices.DeleteFunc(found, func(node *corev1.Node) bool { return !n.isOurs(node) })
	slices.SortFunc(found, func(a, b *corev1.Node) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// count is among how many nodes the machine is divided.
func (n *nodes) count() int {
	return max(1, len(slices.DeleteFunc(n.all(), func(node *corev1.Node) bool { return node.DeletionTimestamp != nil })))
}

// run keeps the agents until ctx ends, and waits for all of them.
func (n *nodes) run(ctx context.Context) error {
	defer n.end()
	n.begin(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), n.listed) {
		return nil
	}
	for {
		var retry <-chan time.Time
		if err := n.reconcile(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("the nodes are not as they should be", "error", err)
			retry = time.After(nodesRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.failed:
			return err
		case <-retry:
		case <-n.changed:
		}
	}
}

func isStopped(node *corev1.Node) bool { return node.Labels[AgentLabel] == AgentStopped }

// reconcile starts and ends agents so that they are those of the Nodes.
func (n *nodes) reconcile(ctx context.Context) error {
	var errs []error
	there := map[string]bool{n.first: true}
	for _, node := range n.all() {
		there[node.Name] = true
		switch {
		case node.Name == n.first && node.DeletionTimestamp != nil: // it will come back
		case node.DeletionTimestamp != nil:
			n.remove(ctx, node)
		case isStopped(node):
			n.silence(node.Name)
		case node.Name != n.first && node.Spec.PodCIDR == "":
			errs = append(errs, n.admit(ctx, node))
		default:
			errs = append(errs, n.ensure(ctx, node))
		}
	}
	for _, name := range n.members() {
		if !there[name] { // somebody took the finalizer off
			n.silence(name)
			errs = append(errs, n.clear(ctx, name))
		}
	}
	n.share()
	return errors.Join(append(errs, n.clearAddresses())...)
}

// clearAddresses takes from the bridge what nodes have left whose Nodes went without them being taken away.
func (n *nodes) clearAddresses() error {
	has, err := n.ranges.network.Addresses()
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range n.ranges.left(has, n.taken()) {
		errs = append(errs, n.ranges.network.RemoveAddress(a))
	}
	return errors.Join(errs...)
}

// members are the names of those that run.
func (n *nodes) members() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.running {
		names = append(names, name)
	}
	return names
}

// share has all agents tell of another share of the machine.
func (n *nodes) share() {
	now := n.count()
	n.mu.Lock()
	defer n.mu.Unlock()
	if now == n.sharing {
		return
	}
	n.sharing = now
	for _, m := range n.running {
		m.agent.CheckNode()
	}
}

// ensure has a node's agent run.
func (n *nodes) ensure(ctx context.Context, node *corev1.Node) error {
	number, err := n.ranges.given(node, n.first, n.all())
	if err != nil {
		return n.refuse(ctx, node, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running[node.Name] != nil || n.stopped {
		return nil
	}
	opts := runtime.Options{NodeName: node.Name, PodRange: n.ranges.of(0)}
	if node.Name != n.first {
		opts.Added, opts.PodRange, opts.HostIP = true, n.ranges.of(number), n.ranges.address(number)
	}
	m, err := n.member(opts)
	if err != nil {
		return err
	}
	n.running[node.Name] = m
	n.launch(ctx, node.Name, m)
	return nil
}

// begin starts the agent that prepare made, before anything is listed: the user waits for it.
func (n *nodes) begin(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.running[n.first]; m != nil {
		n.launch(ctx, n.first, m)
	}
}

// launch runs an agent and its HTTP API. The caller holds the lock.
func (n *nodes) launch(ctx context.Context, name string, m *member) {
	ctx, m.cancel = context.WithCancel(ctx)
	go func() {
		defer close(m.done)
		var served sync.WaitGroup
		served.Go(func() { _ = serveNode(ctx, m.api, n.handler(m.agent)) })
		err := m.agent.Run(ctx)
		if ctx.Err() == nil {
			select {
			case n.failed <- fmt.Errorf("node %s: %w", name, cmp.Or(err, errors.New("its agent ended by itself"))):
			default:
			}
		}
		m.cancel()
		served.Wait()
	}()
}

// silence ends a node's agent and leaves its containers running.
func (n *nodes) silence(name string) {
	n.mu.Lock()
	m := n.running[name]
	delete(n.running, name)
	n.mu.Unlock()
	if m != nil {
		m.cancel()
		<-m.done
		n.cfg.Log.Info("the node's agent has stopped", "node", name)
	}
}

// end ends all agents and whatever is done for a node.
func (n *nodes) end() {
	n.leaving.Wait()
	for _, name := range n.members() {
		n.silence(name)
	}
}
