package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// Options tune the orchestrator. The zero value is right for one machine.
type Options struct {
	// Log receives one line for each failed reconcile. Default slog.Default().
	Log *slog.Logger

	// SchedulerName is the spec.schedulerName of the Pods that the scheduler
	// takes care of. Default "default-scheduler".
	SchedulerName string

	// RootCA is the certificate authority of the API server as PEM, which every namespace
	// gets in a ConfigMap. Default none: then there is no ConfigMap.
	RootCA []byte

	// TerminatedPods is how many finished Pods (Succeeded or Failed) are kept;
	// the oldest beyond it are deleted. Default 12500, as in Kubernetes; a
	// negative number keeps all.
	TerminatedPods int
}

// defaultTerminatedPods is kube-controller-manager's --terminated-pod-gc-threshold.
const defaultTerminatedPods = 12500

// controller is one reconcile loop; its run blocks until ctx ends and
// everything that it started has ended.
type controller interface {
	run(ctx context.Context)
}

// Orchestrator runs the controllers and the scheduler.
type Orchestrator struct {
	log         *slog.Logger
	client      kubernetes.Interface
	events      record.EventBroadcaster
	synced      []cache.DoneChecker
	controllers []controller
}

// world is what each controller is built from.
type world struct {
	client    kubernetes.Interface
	meta      metadata.Interface
	informers informers.SharedInformerFactory
	opts      Options
	log       *slog.Logger
	kinds     *kinds
	recorder  func(component string) record.EventRecorder
}

// New builds the controllers and registers their event handlers with informers.
// The caller starts the informer factory afterwards and then calls Run. The
// clients should have no rate limit: a rollout is bound by round trips.
func New(client kubernetes.Interface, meta metadata.Interface, informers informers.SharedInformerFactory, opts Options) (*Orchestrator, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.SchedulerName == "" {
		opts.SchedulerName = corev1.DefaultSchedulerName
	}
	if opts.TerminatedPods == 0 {
		opts.TerminatedPods = defaultTerminatedPods
	}
	o := &Orchestrator{log: opts.Log, client: client, events: record.NewBroadcaster()}
	w := &world{
		client: client, meta: meta, informers: informers, opts: opts, log: opts.Log,
		kinds: newKinds(client.Discovery()),
		recorder: func(component string) record.EventRecorder {
			return o.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
		},
	}
	if err := o.build(w); err != nil {
		o.events.Shutdown()
		return nil, fmt.Errorf("build the controllers: %w", err)
	}
	return o, nil
}

// build makes one controller of each kind. A new kind is one more line here.
func (o *Orchestrator) build(w *world) error {
	pods := w.informers.Core().V1().Pods().Informer()
	if err := pods.AddIndexers(cache.Indexers{podsByController: indexByController}); err != nil {
		return fmt.Errorf("index pods by controller: %w", err)
	}
	for _, make := range []func(*world) (controller, error){
		newReplicaSets,
		newDeployments,
		newSlices,
		newEndpoints,
		newMirror,
		newScheduler,
		newNamespaces,
		newServiceAccounts,
		newTokenSecrets,
		newPodCollector,
		newCollector,
	} {
		c, err := make(w)
		if err != nil {
			return err
		}
		o.controllers = append(o.controllers, c)
	}
	for _, informer := range w.typedInformers() {
		o.synced = append(o.synced, informer.HasSyncedChecker())
	}
	return nil
}

// Run blocks until ctx ends and every goroutine of the orchestrator has ended.
// It acts only once the shared informers have seen the whole world.
func (o *Orchestrator) Run(ctx context.Context) error {
	o.events.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: o.client.CoreV1().Events(metav1.NamespaceAll)})
	defer o.events.Shutdown()
	// If ctx ends meanwhile the controllers run nevertheless, and end at once:
	// their queues have goroutines.
	cache.WaitFor(ctx, "", o.synced...)
	var all sync.WaitGroup
	for _, c := range o.controllers {
		all.Go(func() { c.run(ctx) })
	}
	all.Wait()
	return nil
}
