package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/images"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/mirror"
	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/spec"
	"github.com/kube-lite/kube-lite/runtime/stats"
	"github.com/kube-lite/kube-lite/runtime/status"
	"github.com/kube-lite/kube-lite/runtime/streaming"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// apiTimeout bounds one request to the API server.
const apiTimeout = 30 * time.Second

// Agent is the node agent of one node of an instance. Make it with New.
type Agent struct {
	client kubernetes.Interface
	engine engine
	opts   Options
	dirs   pods.Dirs
	log    *slog.Logger

	pods     corelisters.PodLister
	refs     *files.References
	claims   *files.Claims
	services corelisters.ServiceLister
	nodes    corelisters.NodeLister
	synced   []cache.InformerSynced
	handlers handlers
	events   record.EventBroadcaster
	*eventLog

	mirror  *mirror.Mirror
	acts    *acts
	workers *workers
	tasks   *tasks
	starts  *startsInProgress

	addresses    *addresses
	networkCheck chan struct{} // the network may not be whole

	probes   *probes
	tokens   *files.Tokens
	images   *images.Images
	specs    *spec.Builder
	files    *files.Files
	crashes  *crashes
	statuses *status.Writer
	node     *node.Node
	host     *hostAddress
	host6    *hostAddress // of IPv6
	streams  *streaming.Server
	stats    *stats.Stats
	stopping atomic.Bool
	changes  broadcast // of containers, as the mirror has them

	// What the node has to give, and what of it is taken.
	oomScores   limits.OOMScores
	allocations *limits.Allocations
	evictions   *limits.Evictions
	rejections  *limits.Rejections
	cgroups     usage.Cgroups
	// memoryInUse reads what the cgroup of a process uses, in bytes.
	memoryInUse func(pid int) (int64, error)

	now func() time.Time
	// step is called after each act; a test may end the daemon there.
	step func(act string)
}

// New makes an agent. The informers must be started after New and before Run.
func New(client kubernetes.Interface, informers informers.SharedInformerFactory, engine *docker.Engine, opts Options) (*Agent, error) {
	return newAgent(client, informers, engine, engine, opts)
}

// newAgent is New on any engine; streams, which serves logs, exec, attach and
// port-forward, is nil where there is no Docker.
func newAgent(client kubernetes.Interface, informers informers.SharedInformerFactory, e engine,
	streams *docker.Engine, opts Options) (*Agent, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	podInformer, services := informers.Core().V1().Pods(), informers.Core().V1().Services()
	a := &Agent{
		client: client, engine: e, opts: opts, dirs: pods.Dirs{Root: pods.NodeRoot(opts.Root, opts.owner().Node)}, log: opts.Log.With("room", "runtime"),
		pods: podInformer.Lister(), services: services.Lister(), nodes: informers.Core().V1().Nodes().Lister(),
		synced: []cache.InformerSynced{podInformer.Informer().HasSynced, services.Informer().HasSynced},
		events: newBroadcaster(), tasks: &tasks{}, starts: newStarts(), crashes: newCrashes(),
		rejections: limits.NewRejections(), memoryInUse: usage.Cgroups{}.Memory,
		now: time.Now, step: func(string) {},
	}
	a.eventLog = &eventLog{newRecorder(a.events, opts.NodeName), a.log}
	a.mirror = mirror.New(e, opts.owner(), a.log)
	a.acts = &acts{
		engine: e, mirror: a.mirror, changes: &a.changes, starts: make(seats, maxStarts), removals: make(seats, maxRemovals),
		now: a.now, step: func(act string) { a.step(act) },
	}
	a.addresses, a.networkCheck = newAddresses(opts, a.mirror.HasAddress, a.mirror.NewestAddress), make(chan struct{}, 1)
	a.workers = newWorkers(a.syncPod)
	a.probes = newProbes(a.tasks)
	a.tokens = files.NewTokens(client, a.log, a.now)
	if a.refs, err = files.NewReferences(client, informers, a.handlers.add, a.sourceChanged); err != nil {
		return nil, fmt.Errorf("runtime: follow ConfigMaps and Secrets: %w", err)
	}
	if a.claims, err = files.NewClaims(client, informers, opts.NodeName); err != nil {
		return nil, fmt.Errorf("runtime: read PersistentVolumeClaims: %w", err)
	}
	a.images = images.New(images.Config{
		Owner: opts.owner(), Engine: e, Secret: a.refs.Secret, Event: a.event, Changed: a.workers.enqueue,
		Start: a.tasks.start, Now: a.now,
	})
	a.statuses = status.NewWriter(client, a.declared, a.log, func(act string) { a.step(act) })
	policies := informers.Networking().V1().NetworkPolicies().Informer().GetIndexer()
	a.statuses.Policies = func() bool { return len(policies.ListKeys()) > 0 }
	a.host, a.host6 = newHostAddress(opts), newHostAddress6(opts)
	a.node = node.New(node.Config{
		Name: opts.NodeName, Version: opts.Version, MaxPods: opts.MaxPods, PodCIDRs: opts.prefixes(), Root: opts.Root,
		Register: !opts.Added, Sharing: opts.Sharing,
		Client: client, Nodes: a.nodes, Engine: e, EngineReady: a.mirror.Ready, Addresses: a.hostIPs, Log: a.log,
		Event: func(object runtime.Object, kind, reason, message string) {
			a.recorder.Event(object, kind, reason, message)
		},
		OnCheck: func() { a.crashes.entries.GC(); a.updateHostAddress() },
	})
	a.stats = stats.New(stats.Config{
		NodeName: opts.NodeName, Sharing: opts.Sharing, Dirs: a.dirs, Pods: a.ownPods, Instances: a.mirror.Pod, ClaimPath: a.claims.Path,
		Engine: e, DockerRoot: a.node.DockerRoot, CPUs: a.node.Facts.CPUs, Memory: a.node.Facts.Memory,
		Start: a.tasks.start, Now: a.now, Log: a.log,
	})
	a.specs = spec.New(spec.Config{
		Owner: opts.owner(), Root: opts.Root, ClusterDomain: opts.ClusterDomain, Network: opts.Network,
		IPv6: a.node.Facts.IPv6, Addressed6: slices.Contains(opts.families(), v1.IPv6Protocol), PidsLimit: opts.PidsLimit,
		AllowedUnsafeSysctls: opts.AllowedUnsafeSysctls, OOMScores: &a.oomScores, Engine: e,
		Account: a.images.Account, RuntimeClass: a.runtimeClass,
	})
	a.files = files.New(files.Config{
		Dirs: a.dirs, ClusterDomain: opts.ClusterDomain, DNSServer: opts.DNSServer, Node: a.nodeFacts,
		Services: a.services, References: a.refs, Tokens: a.tokens,
	})
	a.allocations = limits.NewAllocations(a.limitsNode())
	a.evictions = limits.NewEvictions(limits.Disk{
		Dirs: a.dirs, Files: []string{files.HostsFile, files.ResolvConfFile, files.MessagesDir}, Pods: a.nodesPods, Instances: a.mirror.Pod,
		Written: e.Written, Enqueue: a.workers.enqueue, Now: a.now, Log: a.log,
	})
	a.oomScores.Learn(a.log, a.node.Facts.Memory)
	a.streams = streaming.New(streams, lookup{a.pods, a.statuses, a.mirror}, a.log)
	if err := files.FollowClaims(informers, a.handlers.add, a.claimChanged); err != nil {
		return nil, fmt.Errorf("runtime: follow PersistentVolumeClaims: %w", err)
	}
	a.mirror.Changed = func(ref pods.Ref) {
		a.workers.enqueue(ref)
		a.changes.notify()
	}
	a.mirror.Linked = func(up bool, err error) {
		a.node.EngineChanged(up, err)
		if up {
			a.checkNetwork()
			a.enqueueAll()
		}
	}
	if err := a.handlers.add(podInformer.Informer(), a.podHandler()); err != nil {
		return nil, fmt.Errorf("runtime: follow pods: %w", err)
	}
	return a, nil
}

// Run registers the Node, keeps its heartbeat and drives its Pods until ctx ends and
// everything it started has ended. Containers go on running.
func (a *Agent) Run(ctx context.Context) (err error) {
	if err := os.MkdirAll(a.dirs.All(), 0o750); err != nil {
		return fmt.Errorf("runtime: make the directory of pods: %w", err)
	}
	a.host.update()
	defer a.recordEvents(ctx)()
	defer func() { err = errors.Join(err, a.handlers.removeAll()) }()
	group, ctx := errgroup.WithContext(ctx)
	a.tasks.open(ctx)
	group.Go(func() error { return a.mirror.Run(ctx) })
	group.Go(func() error { return a.statuses.Run(ctx) })
	group.Go(func() error { return a.keepNetwork(ctx) })
	group.Go(func() error { return a.node.Run(ctx) })
	group.Go(func() error { return a.followHostAddress(ctx, a.host) })
	group.Go(func() error { return a.followHostAddress(ctx, a.host6) })
	group.Go(func() error { return a.evictions.Run(ctx) })
	group.Go(func() error { return a.streams.Run(ctx) })
	group.Go(func() error { a.engine.WatchImages(ctx, a.enqueueWaitingForImages); return nil })
	group.Go(func() error { return a.drivePods(ctx) })
	return group.Wait()
}

// CheckNode has the Node's status written if it is another one now, as when the machine is divided among more nodes.
func (a *Agent) CheckNode() { a.node.Check() }

// drivePods lets the workers work as soon as it is known which Pods there are.
func (a *Agent) drivePods(ctx context.Context) error {
	if err := a.acts.ensurePauseImage(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn("the sandbox image cannot be loaded yet", "error", err)
	}
	defer a.tasks.wait()
	if !cache.WaitForCacheSync(ctx.Done(), a.synced...) {
		return nil
	}
	a.allocations.Recall()
	a.workers.start(ctx)
	defer a.workers.stop()
	a.enqueueAll()
	<-ctx.Done()
	return nil
}

// enqueueAll has every Pod looked at: those of the API, those that Docker has containers
// of, and those that left a directory.
func (a *Agent) enqueueAll() {
	for _, pod := range a.allPods() {
		a.enqueuePod(pod)
	}
	for _, ref := range a.mirror.Refs() {
		a.workers.enqueue(ref)
	}
	for _, ref := range a.workers.known() {
		a.workers.enqueue(ref)
	}
	known := map[types.UID]bool{}
	for _, ref := range a.workers.known() {
		known[ref.UID] = true
	}
	dirs, _ := os.ReadDir(a.dirs.All())
	for _, d := range dirs {
		if uid := types.UID(d.Name()); !known[uid] {
			a.workers.enqueue(pods.Ref{UID: uid})
		}
	}
}

// allPods are the Pods of the API, on whichever node.
func (a *Agent) allPods() []*v1.Pod {
	pods, _ := a.pods.List(labels.Everything()) // a lister cannot fail
	return pods
}

// ownPods are the Pods of this node.
func (a *Agent) ownPods() []*v1.Pod {
	return slices.DeleteFunc(a.allPods(), func(pod *v1.Pod) bool { return pod.Spec.NodeName != a.opts.NodeName })
}

func (a *Agent) enqueuePod(pod *v1.Pod) {
	if pod.Spec.NodeName == a.opts.NodeName {
		a.workers.enqueue(pods.RefOf(pod))
	}
}

// podHandler wakes a Pod's worker when something changed that is not its own doing.
func (a *Agent) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { a.enqueuePod(obj.(*v1.Pod)) },
		UpdateFunc: func(before, after any) {
			old, pod := before.(*v1.Pod), after.(*v1.Pod)
			a.workers.follow(pod)
			a.statuses.Listed(pod)
			if old.UID != pod.UID {
				a.enqueuePod(old)
			}
			if old.UID != pod.UID || !equality.Semantic.DeepEqual(withoutOwnStatus(old), withoutOwnStatus(pod)) {
				a.enqueuePod(pod)
			}
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if pod, ok := obj.(*v1.Pod); ok {
				a.enqueuePod(pod)
			}
		},
	}
}

// withoutOwnStatus is the part of a Pod that others write.
func withoutOwnStatus(pod *v1.Pod) *v1.Pod {
	out := &v1.Pod{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	out.ResourceVersion, out.ManagedFields = "", nil
	out.Status.Phase = pod.Status.Phase
	for _, c := range pod.Status.Conditions {
		if !status.IsOwn(c.Type) {
			out.Status.Conditions = append(out.Status.Conditions, c)
		}
	}
	return out
}

// nodeFacts are what Pods may ask about the node.
func (a *Agent) nodeFacts() files.Node {
	return files.Node{Name: a.opts.NodeName, HostIPs: a.hostIPs(), Allocatable: a.node.Allocatable()}
}
