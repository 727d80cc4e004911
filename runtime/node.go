package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/apimachinery/lease"
	kubeletapis "k8s.io/kubelet/pkg/apis"
	"k8s.io/utils/clock"
)

// A node's heartbeat, with a kubelet's periods.
// https://kubernetes.io/docs/reference/node/node-status/#heartbeats
const (
	leaseDuration = 40 * time.Second
	leaseRenewal  = 10 * time.Second
	// nodeCheck is how often Docker is asked whether it is there.
	nodeCheck = 10 * time.Second
	// nodeReport is how often the status is written though nothing changed.
	nodeReport = 5 * time.Minute
	// registerRetry is the pause between attempts to register the Node.
	registerRetry = time.Second
)

// node keeps the Node object.
type node struct {
	agent *Agent
	facts hostFacts
	check chan struct{} // Docker came or went

	// Only run's goroutine uses these.
	written    time.Time // when the status was
	last       *v1.Node  // the API's last answer
	undeclared bool      // Docker's runtimes could not be declared
	cordoned   bool      // as last told by an event
	pressures  pressures
	room       func() machineRoom // what is left on the machine now

	mu       sync.Mutex // guards what follows
	down     error      // why Docker cannot be used; nil when it can
	version  string     // Docker's
	root     string     // the directory in which Docker keeps its files
	driver   string     // of Docker's control groups: cgroupfs or systemd
	runtimes []string   // Docker's
}

func newNode(a *Agent) *node {
	n := &node{agent: a, facts: readHostFacts(a.opts.Root), check: make(chan struct{}, 1), pressures: pressures{}}
	n.room = func() machineRoom { return readMachineRoom(a.log, a.opts.Root, n.dockerRoot()) }
	return n
}

// linked is told whether Docker's event stream is up.
func (n *node) linked(up bool, err error) {
	n.mu.Lock()
	was := n.down == nil
	if up {
		n.down = nil
	} else if n.down = err; err == nil {
		n.down = errors.New("the event stream of Docker ended")
	}
	n.mu.Unlock()
	if was != up {
		notify(n.check)
	}
}

func (n *node) up() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down == nil
}

// run registers the Node and keeps its lease and status until ctx ends.
func (n *node) run(ctx context.Context) error {
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
func (n *node) beat(ctx context.Context) {
	ticker := time.NewTicker(nodeCheck)
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
			n.agent.crashes.entries.GC()
			n.agent.updateHostAddress()
		}
		if err := n.update(ctx); err != nil && ctx.Err() == nil {
			n.agent.log.Warn("the node's status cannot be written", "error", err)
		}
	}
}

// pingEngine finds out whether Docker answers; the event stream alone cannot tell a hanging
// engine from a quiet one.
func (n *node) pingEngine(ctx context.Context) {
	err := n.agent.engine.Ping(ctx)
	if ctx.Err() == nil && (err != nil || n.agent.mirror.ready()) {
		n.linked(err == nil, err)
	}
}

// register creates the Node, or takes the one that is there.
func (n *node) register(ctx context.Context) error {
	err := n.create(ctx)
	if err != nil && ctx.Err() == nil {
		n.agent.log.Warn("the node cannot be registered", "node", n.agent.opts.NodeName, "error", err)
	}
	return err
}

// identify asks Docker who it is; it may have been upgraded while it was away.
func (n *node) identify(ctx context.Context) {
	info, err := n.agent.engine.Info(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down = err; err == nil {
		n.version, n.root, n.driver, n.runtimes = info.Version, info.RootDir, info.CgroupDriver, info.Runtimes
	}
}

// declareRuntimes has them declared that Docker had when it was asked last. What fails is
// tried again at the next tick.
func (n *node) declareRuntimes(ctx context.Context) {
	n.mu.Lock()
	names := n.runtimes
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := n.agent.declareRuntimes(ctx, names)
	if n.undeclared = err != nil; n.undeclared {
		n.agent.log.Warn("Docker's runtimes cannot be declared as RuntimeClasses", "error", err)
	}
}

// dockerRoot is empty while Docker was never asked.
func (n *node) dockerRoot() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.root
}

// cgroupDriver asks Docker if it was never asked.
func (n *node) cgroupDriver(ctx context.Context) (string, error) {
	n.mu.Lock()
	driver := n.driver
	n.mu.Unlock()
	if driver != "" {
		return driver, nil
	}
	info, err := n.agent.engine.Info(ctx)
	return info.CgroupDriver, err
}

func (n *node) create(ctx context.Context) error {
	n.identify(ctx)
	nodes := n.agent.client.CoreV1().Nodes()
	wanted := n.object()
	found, err := nodes.Get(ctx, wanted.Name, metav1.GetOptions{})
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
func (n *node) object() *v1.Node {
	o := n.agent.opts
	out := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: o.NodeName, Labels: map[string]string{
		v1.LabelHostname: o.NodeName, v1.LabelOSStable: "linux", v1.LabelArchStable: n.facts.arch,
		kubeletapis.LabelOS: "linux", kubeletapis.LabelArch: n.facts.arch, // beta names, which old manifests select by
	}}}
	out.Spec.PodCIDRs = o.prefixes()
	out.Spec.PodCIDR = out.Spec.PodCIDRs[0]
	return out
}

// update writes the Node's status if it changed, or was not written for long.
func (n *node) update(ctx context.Context) error {
	if listed, err := n.agent.nodes.Get(n.agent.opts.NodeName); err == nil && n.last != nil && !isOlder(listed, n.last) && n.wanted(listed) == nil {
		return nil // as nearly always, for which the API is not asked
	}
	nodes := n.agent.client.CoreV1().Nodes()
	found, err := nodes.Get(ctx, n.agent.opts.NodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return n.create(ctx)
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
func (n *node) wanted(found *v1.Node) *v1.Node {
	changed := found.DeepCopy()
	n.status(&changed.Status)
	if sameStatus(found.Status, changed.Status) && time.Since(n.written) < nodeReport {
		n.recordSchedulable(found.Spec.Unschedulable)
		return nil
	}
	return changed
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
func (n *node) lease() lease.Controller {
	a := n.agent
	return lease.NewController(clock.RealClock{}, a.client, a.opts.NodeName, int32(leaseDuration.Seconds()), nil,
		leaseRenewal, a.opts.NodeName, v1.NamespaceNodeLease, func(l *coordinationv1.Lease) error {
			if len(l.OwnerReferences) > 0 {
				return nil
			}
			found, err := a.client.CoreV1().Nodes().Get(context.Background(), a.opts.NodeName, metav1.GetOptions{})
			if err != nil {
				return err
			}
			l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: found.Name, UID: found.UID}}
			return nil
		})
}
