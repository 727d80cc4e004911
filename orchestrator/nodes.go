package orchestrator

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/kubernetes/pkg/controller/nodelifecycle"
	"k8s.io/kubernetes/pkg/controller/tainteviction"
)

// nodeLoops say of Nodes what is wrong with them, by conditions and taints, and evict Pods from those. Upstream's wake ten times
// a second for it, so they are there only while something is wrong.
func nodeLoops() []loop {
	return []loop{
		{"node-lifecycle-controller", 1, nodesInTrouble, newNodeLifecycle},
		{"taint-eviction-controller", 1, nodesInTrouble, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			evictions, err := tainteviction.New(ctx, w.client, core.Pods(), core.Nodes(), "taint-eviction-controller")
			if err != nil {
				return nil, err
			}
			return whileInTrouble(w, evictions.Run), nil
		}},
	}
}

// Kube-controller-manager's flags of nodes, with their defaults: --node-monitor-period, --node-startup-grace-period,
// --node-monitor-grace-period, --node-eviction-rate, --secondary-node-eviction-rate, --large-cluster-size-threshold,
// --unhealthy-zone-threshold.
const (
	nodeMonitorPeriod         = 5 * time.Second
	nodeStartupGrace          = time.Minute
	nodeMonitorGrace          = 50 * time.Second
	nodeEvictionRate          = 0.1
	nodeSecondaryEvictionRate = 0.01
	nodeLargeCluster          = 50
	nodeUnhealthyZone         = 0.55
)

// newNodeLifecycle has an informer of Leases that ends with it: each Node writes one every ten seconds.
func newNodeLifecycle(ctx context.Context, w *world) (runner, error) {
	core := w.informers.Core().V1()
	own := informers.NewSharedInformerFactoryWithOptions(w.manager, 0, informers.WithNamespace(corev1.NamespaceNodeLease))
	nodes, err := nodelifecycle.NewNodeLifecycleController(ctx, own.Coordination().V1().Leases(), core.Pods(), core.Nodes(),
		w.informers.Apps().V1().DaemonSets(), w.client, nodeMonitorPeriod, nodeStartupGrace, nodeMonitorGrace,
		nodeEvictionRate, nodeSecondaryEvictionRate, nodeLargeCluster, nodeUnhealthyZone)
	if err != nil {
		return nil, err
	}
	return whileInTrouble(w, func(ctx context.Context) {
		own.Start(ctx.Done())
		nodes.Run(ctx)
		own.Shutdown()
	}), nil
}

// nodesInTrouble are those with which the controllers of nodes have something to do.
func nodesInTrouble(w *world) []trigger {
	return []trigger{{w.informers.Core().V1().Nodes().Informer(), func(obj any) bool { return w.inTrouble(obj.(*corev1.Node)) }}}
}

// whileInTrouble runs until all Nodes have been well for a while.
func whileInTrouble(w *world, run func(ctx context.Context)) runner {
	nodes := w.informers.Core().V1().Nodes().Informer().GetStore()
	return whileWanted{single(run), func() bool {
		return !slices.ContainsFunc(nodes.List(), func(obj any) bool { return w.inTrouble(obj.(*corev1.Node)) })
	}, w.opts.LoopsRest}
}

// inTrouble tells of a Node that has a taint, is cordoned or lacks something, or whose agent may fall silent: a Node of ours
// does that only when somebody stops its agent, which its label says.
func (w *world) inTrouble(node *corev1.Node) bool {
	return !w.opts.OwnNode(node) || node.Spec.Unschedulable || len(node.Spec.Taints) > 0 ||
		slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return (c.Status == corev1.ConditionTrue) != (c.Type == corev1.NodeReady)
		})
}
