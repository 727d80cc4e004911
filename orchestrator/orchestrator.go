package orchestrator

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/serviceaccount"

	_ "github.com/kube-lite/kube-lite/orchestrator/queuemetrics" // before the first queue is made
)

// Options tune the orchestrator. The zero value runs every loop that needs nothing from outside the API.
type Options struct {
	// RootCA is the certificate authority of the API server as PEM, which every namespace gets in a ConfigMap and every
	// token Secret beside its token. Default none.
	RootCA []byte

	// Tokens signs the tokens of Secrets of type kubernetes.io/service-account-token. Default none: they stay empty.
	Tokens serviceaccount.TokenGenerator

	// SigningCert and SigningKey are the files of the certificate authority that signs CertificateSigningRequests, as PEM.
	// Default none: approved requests stay without a certificate.
	SigningCert, SigningKey string

	// VolumeDir is the directory below which each claim of our StorageClasses gets one of its own. Default none: such
	// claims stay Pending.
	VolumeDir string

	// NodePortAddresses are the ranges of this machine's addresses that Services of type LoadBalancer get beside a loopback
	// address: other machines reach them there. Default none.
	NodePortAddresses []netip.Prefix

	// ConfigFor returns how a loop connects as a user, whose rights have to be upstream's defaults for this name or more.
	// Default: all connect by the orchestrator's own config.
	ConfigFor func(user string) *rest.Config

	// TerminatedPods is how many finished Pods (Succeeded or Failed) are kept; the oldest beyond it are deleted.
	// Default 500.
	TerminatedPods int

	// KindsSync is how often the garbage collector and the quota controller ask which kinds there are although nothing says
	// that these have changed. Default 30 s.
	KindsSync time.Duration

	// OwnNode tells of a Node whose agent lives and dies with this process, so that nobody has to watch whether it still
	// renews its Lease. Default: there is none.
	OwnNode func(*corev1.Node) bool

	// LoopsRest is how often it is looked whether anything is still wanted of a loop that is costly at rest; when nothing was
	// at two looks in a row, it ends until something is. Default 30 s.
	LoopsRest time.Duration
}

// defaultLoopsRest is long enough for a drain, or for somebody who tries taints, to be one time and not several.
const defaultLoopsRest = 30 * time.Second

// defaultTerminatedPods is kube-controller-manager's --terminated-pod-gc-threshold, whose default of 12500 is made for
// thousands of nodes: each finished Pod takes some 10 KB of this process's memory, and Docker keeps its containers for
// their logs. 500 are more than four times the Pods that run on one node, and five megabytes.
const defaultTerminatedPods = 500

// defaultKindsSync is kube-controller-manager's.
const defaultKindsSync = 30 * time.Second

// Orchestrator runs the controllers and the scheduler.
type Orchestrator struct {
	config    *rest.Config
	informers informers.SharedInformerFactory
	opts      Options
}

// New makes an orchestrator whose loops connect by config and share informers, which nobody may have started. The config
// should have no rate limit: a rollout is bound by round trips.
func New(config *rest.Config, informers informers.SharedInformerFactory, opts Options) *Orchestrator {
	if opts.TerminatedPods == 0 {
		opts.TerminatedPods = defaultTerminatedPods
	}
	if opts.KindsSync == 0 {
		opts.KindsSync = defaultKindsSync
	}
	if opts.LoopsRest == 0 {
		opts.LoopsRest = defaultLoopsRest
	}
	if opts.OwnNode == nil {
		opts.OwnNode = func(*corev1.Node) bool { return false }
	}
	return &Orchestrator{config: config, informers: informers, opts: opts}
}

// Run builds the loops, starts all informers of the factory and blocks until ctx ends and every loop has ended. A loop
// that cannot be built or ends before ctx ends all.
//
// The informers come after the loops, since upstream's constructors register handlers before they are done: an event
// would meet half a controller (see gate for those that are built later).
func (o *Orchestrator) Run(ctx context.Context) error {
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	w, err := newWorld(o)
	if err != nil {
		return err
	}
	var run []func()
	for _, l := range loops() {
		r, err := l.prepare(running, w)
		if err != nil {
			return fmt.Errorf("build the %s: %w", l.name, err)
		}
		run = append(run, func() {
			if err := r(); err != nil {
				end(fmt.Errorf("the %s: %w", l.name, err))
			}
		})
	}
	o.informers.Start(running.Done())
	close(w.started)
	var all sync.WaitGroup
	for _, r := range run {
		all.Go(r)
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}
