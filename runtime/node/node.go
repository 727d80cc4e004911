package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/component-helpers/apimachinery/lease"
	kubeletapis "k8s.io/kubelet/pkg/apis"
	"k8s.io/utils/clock"
)

// A node's heartbeat, with a kubelet's periods.
// https://kubernetes.io/docs/reference/node/node-status/#heartbeats
const (
	leaseDuration = 40 * time.Second
	leaseRenewal  = 10 * time.Second
	// CheckPeriod is how often it is checked whether Docker answers, and whether the status is still right.
	CheckPeriod = 10 * time.Second
	// nodeReport is how often the status is written though nothing changed.
	nodeReport = 5 * time.Minute
	// registerRetry is the pause between attempts to register the Node.
	registerRetry = time.Second
	// callTimeout bounds one request to the API server.
	callTimeout = 30 * time.Second
)

// Config says which Node is kept, and what of. All of it is required.
type Config struct {
	// Name is the Node's, Version its kubeletVersion, MaxPods its capacity of Pods, PodCIDRs the ranges of the Pods'
	// addresses, the primary IP family's first.
	Name, Version string
	MaxPods       int
	PodCIDRs      []string
	// Register makes the Node, and makes it again when somebody deleted it, as a kubelet's --register-node does. Without it
	// the Node is waited for, and nothing is kept of one that is gone.
	Register bool
	// Sharing tells among how many nodes what the machine has is divided.
	Sharing func() int
	// Root is the directory of the Pods' volumes.
	Root string

	Client kubernetes.Interface
	Nodes  corelisters.NodeLister // what is nearly always read in place of the API
	Engine Engine
	// EngineReady tells whether it is known what containers there are.
	EngineReady func() bool
	// Addresses are the machine's own, the primary IP family's first.
	Addresses func() pods.IPs
	// Event records an event.
	Event func(object runtime.Object, kind, reason, message string)
	// OnCheck is called every CheckPeriod.
	OnCheck func()
	Log     *slog.Logger
}

// Engine is what is asked of Docker: *docker.Engine.
type Engine interface {
	Ping(ctx context.Context) error
	Info(ctx context.Context) (docker.Info, error)
}

// Node keeps the Node object.
type Node struct {
	// Facts are what does not change while the machine runs.
	Facts Facts
	// Available reads what the machine has left; a test may pretend.
	Available func() Available

	config Config
	check  chan struct{} // Docker came or went

	// Only run's goroutine uses these.
	written    time.Time // when the status was
	last       *v1.Node  // the API's last answer
	undeclared bool      // Docker's runtimes could not be declared
	cordoned   bool      // as last told by an event
	pressures  pressures

	mu       sync.Mutex // guards what follows
	down     error      // why Docker cannot be used; nil when it can
	version  string     // Docker's
	root     string     // the directory in which Docker keeps its files
	driver   string     // of Docker's control groups: cgroupfs or systemd
	runtimes []string   // Docker's
}

// New reads what the machine is. It writes nothing yet: Run does.
func New(c Config) *Node {
	n := &Node{config: c, Facts: readFacts(c.Root), check: make(chan struct{}, 1), pressures: pressures{}}
	n.Available = func() Available { return readAvailable(c.Log, c.Root, n.DockerRoot()) }
	return n
}

// Check has the status checked now.
func (n *Node) Check() {
	select {
	case n.check <- struct{}{}:
	default: // it is about to be
	}
}

// EngineChanged notes whether Docker's event stream is up: without it the Node is not ready.
func (n *Node) EngineChanged(up bool, err error) {
	n.mu.Lock()
	was := n.down == nil
	if up {
		n.down = nil
	} else if n.down = err; err == nil {
		n.down = errors.New("the event stream of Docker ended")
	}
	n.mu.Unlock()
	if was != up {
		n.Check()
	}
}

func (n *Node) up() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down == nil
}

// Run registers the Node and keeps its lease and status until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	n.event(v1.EventTypeNormal, "Starting", "Starting kubelet.")
	for n.register(ctx) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(registerRetry):
		}
	}
	n.declareRuntimes(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { n.lease().Run(ctx) })
	n.beat(ctx)
	wg.Wait()
	return nil
}

// beat writes the status on change, and every few minutes.
func (n *Node) beat(ctx context.Context) {
	ticker := time.NewTicker(CheckPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.check:
			if n.up() {
				n.identify(ctx)
				n.declareRuntimes(ctx)
			}
		case <-ticker.C:
			n.pingEngine(ctx)
			if n.undeclared {
				n.declareRuntimes(ctx)
			}
			n.config.OnCheck()
		}
		if err := n.update(ctx); err != nil && ctx.Err() == nil {
			n.config.Log.Warn("the node's status cannot be written", "error", err)
		}
	}
}

// pingEngine finds out whether Docker answers; the event stream alone cannot tell a hanging
// engine from a quiet one.
func (n *Node) pingEngine(ctx context.Context) {
	err := n.config.Engine.Ping(ctx)
	if ctx.Err() == nil && (err != nil || n.config.EngineReady()) {
		n.EngineChanged(err == nil, err)
	}
}

// register creates the Node, or takes the one that is there.
func (n *Node) register(ctx context.Context) error {
	err := n.create(ctx)
	if err != nil && ctx.Err() == nil {
		n.config.Log.Warn("the node cannot be registered", "node", n.config.Name, "error", err)
	}
	return err
}

// identify asks Docker who it is; it may have been upgraded while it was away.
func (n *Node) identify(ctx context.Context) {
	info, err := n.config.Engine.Info(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down = err; err == nil {
		n.version, n.root, n.driver, n.runtimes = info.Version, info.RootDir, info.CgroupDriver, info.Runtimes
	}
}

// declareRuntimes has them declared that Docker had when it was asked last. What fails is
// tried again at the next tick.
func (n *Node) declareRuntimes(ctx context.Context) {
	n.mu.Lock()
	names := n.runtimes
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := declareRuntimes(ctx, n.config.Client, names)
	if n.undeclared = err != nil; n.undeclared {
		n.config.Log.Warn("Docker's runtimes cannot be declared as RuntimeClasses", "error", err)
	}
}

// DockerRoot is the directory in which Docker keeps its files; empty while Docker was never asked.
func (n *Node) DockerRoot() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.root
}

// CgroupDriver asks Docker if it was never asked.
func (n *Node) CgroupDriver(ctx context.Context) (string, error) {
	n.mu.Lock()
	driver := n.driver
	n.mu.Unlock()
	if driver != "" {
		return driver, nil
	}
	info, err := n.config.Engine.Info(ctx)
	return info.CgroupDriver, err
}

func (n *Node) create(ctx context.Context) error {
	n.identify(ctx)
	nodes := n.config.Client.CoreV1().Nodes()
	wanted := n.object()
	found, err := nodes.Get(ctx, wanted.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && !n.config.Register {
		return err
	}
	if apierrors.IsNotFound(err) {
		n.status(&wanted.Status)
		if n.last, err = nodes.Create(ctx, wanted, metav1.CreateOptions{}); err == nil {
			n.written = time.Now()
			n.recordChanges(&v1.Node{}, wanted)
		}
		return err
	}
	if err != nil {
		return err
	}
	changed := found.DeepCopy()
	for k, v := range wanted.Labels {
		metav1.SetMetaDataLabel(&changed.ObjectMeta, k, v)
	}
	if changed.Spec.PodCIDR == "" {
		changed.Spec.PodCIDR, changed.Spec.PodCIDRs = wanted.Spec.PodCIDR, wanted.Spec.PodCIDRs
	}
	if !equality.Semantic.DeepEqual(found, changed) {
		if _, err = nodes.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return n.update(ctx)
}

// object is the Node as it is registered.
func (n *Node) object() *v1.Node {
	o := n.config
	out := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: o.Name, Labels: map[string]string{
		v1.LabelHostname: o.Name, v1.LabelOSStable: "linux", v1.LabelArchStable: n.Facts.Arch,
		kubeletapis.LabelOS: "linux", kubeletapis.LabelArch: n.Facts.Arch, // beta names, which old manifests select by
	}}}
	out.Spec.PodCIDRs = slices.Clone(o.PodCIDRs)
	out.Spec.PodCIDR = out.Spec.PodCIDRs[0]
	return out
}

// update writes the Node's status if it changed, or was not written for long.
func (n *Node) update(ctx context.Context) error {
	if listed, err := n.config.Nodes.Get(n.config.Name); err == nil && n.last != nil && !older(listed, n.last) && n.wanted(listed) == nil {
		return nil // as nearly always, for which the API is not asked
	}
	nodes := n.config.Client.CoreV1().Nodes()
	found, err := nodes.Get(ctx, n.config.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if n.config.Register {
			return n.create(ctx)
		}
		return nil
	}
	if err != nil {
		return err
	}
	changed := n.wanted(found)
	if changed == nil {
		n.last = found
		return nil
	}
	answer, err := nodes.UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	n.written, n.last = time.Now(), answer
	n.recordChanges(found, changed)
	return nil
}

// wanted is the Node with the status that is to be written; nil if it has it, and it was written lately.
func (n *Node) wanted(found *v1.Node) *v1.Node {
	changed := found.DeepCopy()
	n.status(&changed.Status)
	if sameStatus(found.Status, changed.Status) && time.Since(n.written) < nodeReport {
		n.recordSchedulable(found.Spec.Unschedulable)
		return nil
	}
	return changed
}

// older compares two versions of the Node.
func older(a, b *v1.Node) bool {
	n, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && n < 0
}

// sameStatus compares all but the time of the heartbeat.
func sameStatus(a, b v1.NodeStatus) bool {
	a, b = *a.DeepCopy(), *b.DeepCopy()
	for _, s := range []*v1.NodeStatus{&a, &b} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return equality.Semantic.DeepEqual(a, b)
}

// lease is the heartbeat proper.
func (n *Node) lease() lease.Controller {
	o := n.config
	return lease.NewController(clock.RealClock{}, o.Client, o.Name, int32(leaseDuration.Seconds()), nil,
		leaseRenewal, o.Name, v1.NamespaceNodeLease, func(l *coordinationv1.Lease) error {
			forgetManagers(l)
			if len(l.OwnerReferences) > 0 {
				return nil
			}
			found, err := o.Client.CoreV1().Nodes().Get(context.Background(), o.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: found.Name, UID: found.UID}}
			return nil
		})
}

// forgetManagers has the API keep no managedFields of a Lease that nobody applied: to compare them at each renewal is a fifth of
// what that costs, and renewals are most of what an idle node does. A list of one empty entry is the API's way to say so.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
func forgetManagers(l *coordinationv1.Lease) {
	applied := slices.ContainsFunc(l.ManagedFields, func(m metav1.ManagedFieldsEntry) bool {
		return m.Operation == metav1.ManagedFieldsOperationApply
	})
	if len(l.ManagedFields) > 0 && !applied {
		l.ManagedFields = []metav1.ManagedFieldsEntry{{}}
	}
}
