package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/images"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/spec"
	"github.com/kube-lite/kube-lite/runtime/status"
	"github.com/kube-lite/kube-lite/runtime/streaming"
	v1 "k8s.io/api/core/v1"
)

// pipeline starts what a plan asks for. A container can be created as soon as the
// sandbox has an ID and started when the sandbox runs, so the containers are created
// while the sandbox starts, all at once.
type pipeline struct {
	starter
	pod   *v1.Pod
	state *podState
	plan  plan.Plan

	sandboxID string
	group     string        // the control group of the sandbox and the containers; empty: the engine's default
	running   chan struct{} // closed when the sandbox runs, or did not come to run
	podIPs    pods.IPs      // valid after running is closed
	failed    error         // why the sandbox does not run; valid after running is closed

	unpacking sync.Mutex // held by who copies an image into a volume
}

// starter is what pipelines work with.
type starter struct {
	acts      *acts
	engine    engine
	images    *images.Images
	specs     *spec.Builder
	files     *files.Files
	dirs      pods.Dirs
	owner     pods.Owner
	addresses *addresses
	bridge    bridge
	groups    podGroups
	oomScores *limits.OOMScores
	crashes   *crashes
	statuses  *status.Writer
	streams   *streaming.Server
	events    *eventLog
	log       *slog.Logger
	now       func() time.Time
	// prepare makes the Pod's directory and volumes.
	prepare func(context.Context, *v1.Pod, *podState, pods.IPs) error
	// wanted says why a Pod's images need not be copied any more; nil: they do.
	wanted func(pods.Ref) error
}

func (a *Agent) starter() starter {
	return starter{
		acts: a.acts, engine: a.engine, images: a.images, specs: a.specs, files: a.files, dirs: a.dirs, owner: a.opts.owner(),
		addresses: a.addresses, bridge: a.bridge(), groups: a.groups(), oomScores: &a.oomScores, crashes: a.crashes,
		statuses: a.statuses, streams: a.streams, events: a.eventLog, log: a.log, now: a.now,
		prepare: a.prepare, wanted: a.wanted,
	}
}

// outcome is what became of one container.
type outcome struct {
	container string
	waiting   pods.Waiting // empty: it runs
	wake      time.Time    // zero: an event will come
	repeats   bool         // it failed, for nothing that is told: each attempt waits longer
}

// start brings the Pod closer to what the plan says, and returns when to look again.
func (a *Agent) start(ctx context.Context, pod *v1.Pod, s *podState, p plan.Plan) (wake time.Time) {
	if until, held := s.held(pods.SandboxName, a.now()); held && p.Sandbox.ID == "" {
		return until
	}
	a.starts.begin()
	defer a.starts.end()
	if p.StartsAgain() {
		// A container that an ending engine took along would be started, ended and
		// counted once more.
		if err := a.engine.Accepts(ctx); err != nil {
			return a.sandboxFailed(pod, s, err)
		}
	}
	run := &pipeline{starter: a.starter(), pod: pod, state: s, plan: p, running: make(chan struct{})}
	if err := run.beginSandbox(ctx); err != nil {
		if p.Sandbox.Running() && !docker.IsUnavailable(err) && a.acts.endsNow(ctx, p.Sandbox.ID) {
			return a.now().Add(retryFirst)
		}
		return a.sandboxFailed(pod, s, err)
	}
	outcomes := run.containers(ctx)
	<-run.running
	if run.failed != nil {
		return a.sandboxFailed(pod, s, run.failed)
	}
	s.succeeded(pods.SandboxName)
	for _, o := range outcomes {
		if o.waiting == (pods.Waiting{}) {
			delete(s.waiting, o.container)
		} else {
			s.waiting[o.container] = o.waiting
		}
		wake = pods.Earliest(wake, o.wake)
	}
	return wake
}

func (a *Agent) sandboxFailed(pod *v1.Pod, s *podState, err error) time.Time {
	if docker.IsUnavailable(err) {
		a.log.Warn("Docker does not answer", "pod", s.ref, "error", err)
		return a.now().Add(unavailableRetry)
	}
	if docker.IsConflict(err) { // the mirror knows it by now, or Docker is still making it
		return s.failed(pods.SandboxName, a.now())
	}
	if missing := files.MountErrors(nil); errors.As(err, &missing) {
		for _, one := range missing {
			a.event(pod, nil, v1.EventTypeWarning, "FailedMount", "%v", one)
		}
		return a.now().Add(configRetry)
	}
	a.event(pod, nil, v1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
	return s.failed(pods.SandboxName, a.now())
}

// unavailableRetry is how soon a call is repeated that Docker did not answer. If its
// event stream breaks too, the stream's return wakes everybody.
const unavailableRetry = 10 * time.Second

// beginSandbox makes sure that there is a sandbox and has it started.
func (r *pipeline) beginSandbox(ctx context.Context) error {
	if r.plan.Sandbox.Running() {
		r.podIPs = r.bridge.podIPs(r.pod, r.plan.Sandbox)
	}
	if !r.state.prepared || lacksClaims(r.pod, r.state) {
		if err := r.prepare(ctx, r.pod, r.state, r.podIPs); err != nil {
			return fmt.Errorf("prepare the pod's directory: %w", err)
		}
		r.state.prepared = true
	} else if r.plan.Sandbox.Running() { // it may have failed when the sandbox came to run
		if err := r.files.WriteHosts(r.pod, r.podIPs); err != nil {
			return err
		}
	}
	if r.plan.Sandbox.ID != "" {
		r.sandboxID, r.group = r.plan.Sandbox.ID, r.plan.Sandbox.CgroupParent
		if r.plan.Sandbox.Running() {
			if err := r.bridge.connect(r.plan.Sandbox); err != nil { // the daemon may have ended before
				return err
			}
			if err := r.groups.bound(r.pod, r.state, r.plan.Sandbox, true); err != nil {
				return err
			}
			close(r.running)
			return nil
		}
	} else if err := r.createSandbox(ctx); err != nil {
		return err
	}
	go r.startSandbox(ctx) // start waits for r.running
	return nil
}

func (r *pipeline) createSandbox(ctx context.Context) error {
	var address netip.Addr
	if !r.pod.Spec.HostNetwork {
		free, settled, err := r.addresses.take()
		if err != nil {
			return err
		}
		defer settled()
		address = free
	}
	spec, err := r.specs.Sandbox(r.pod, r.plan.SandboxAttempt, address)
	if err != nil {
		return err
	}
	if spec.Runtime, err = r.sandboxRuntime(ctx, r.pod); err != nil {
		return err
	}
	if r.group, err = r.groups.of(ctx, r.pod); err != nil {
		return err
	}
	spec.CgroupParent = r.group
	id, err := r.acts.create(ctx, spec)
	if docker.IsNotFound(err) { // somebody removed the image
		if err := r.acts.ensurePauseImage(ctx); err != nil {
			return err
		}
		id, err = r.acts.create(ctx, spec)
	}
	r.sandboxID = id
	return err
}

// startSandbox starts the sandbox and learns its address.
func (r *pipeline) startSandbox(ctx context.Context) {
	defer close(r.running)
	i, err := r.acts.startContainer(ctx, r.sandboxID)
	if err == nil {
		err = r.bridge.connect(i)
	}
	if err == nil {
		r.acts.step("connected")
		err = r.groups.bound(r.pod, r.state, i, false)
	}
	if err != nil {
		r.failed = err
		if limits.RefusedOOMScore(err) {
			r.oomScores.Deny()
		}
		if !docker.IsUnavailable(err) {
			_ = r.acts.removeContainer(ctx, r.sandboxID) // the next attempt is a new one
		}
		return
	}
	r.podIPs = r.bridge.podIPs(r.pod, i)
	r.statuses.SetAddress(r.pod, r.podIPs)
	r.failed = r.files.WriteHosts(r.pod, r.podIPs)
}

// containers handles all containers at once and waits for them.
func (r *pipeline) containers(ctx context.Context) []outcome {
	out := make([]outcome, len(r.plan.Start))
	states := make([]*images.State, len(r.plan.Start))
	for n, s := range r.plan.Start {
		states[n] = r.state.image(s.Container)
		for _, v := range pods.ImageVolumes(r.pod, s.Container) {
			r.state.volumeImage(s.Container, v)
		}
	}
	var wg sync.WaitGroup
	var tried []int // those that are held must not be held for longer because they were looked at
	for n, s := range r.plan.Start {
		out[n].container = s.Container.Name
		if until, held := r.state.held(s.Container.Name, r.now()); held {
			out[n].waiting, out[n].wake = r.state.waiting[s.Container.Name], until
			continue
		}
		tried = append(tried, n)
		wg.Go(func() { out[n] = r.container(ctx, s, states[n]) })
	}
	ids, specs := make([]string, len(r.plan.PreCreate)), make([]docker.ContainerSpec, len(r.plan.PreCreate))
	for n, s := range r.plan.PreCreate {
		wg.Go(func() { ids[n], specs[n] = r.preCreate(ctx, s) })
	}
	wg.Wait()
	for n, id := range ids {
		r.state.preCreated[id] = specs[n]
	}
	for _, n := range tried {
		r.state.note(out[n], r.now())
		delete(r.state.preCreated, r.plan.Start[n].CreatedID)
	}
	return out
}

// container creates one container, unless it is, and starts it.
func (r *pipeline) container(ctx context.Context, s plan.Start, image *images.State) outcome {
	id, o := r.createContainer(ctx, s, image)
	if id == "" {
		return o
	}
	<-r.running
	if r.failed != nil {
		return outcome{container: s.Container.Name, waiting: pods.Waiting{Reason: "ContainerCreating"}}
	}
	if hasOneClient(r.pod, s.Container) {
		if err := r.streams.Hold(ctx, id); err != nil { // its client then hears only what comes later
			r.log.Warn("the output of a container is not kept for its client", "pod", r.state.ref, "container", s.Container.Name, "error", err)
		}
	}
	i, err := r.acts.startContainer(ctx, id)
	if err != nil {
		return r.startFailed(ctx, s, id, err)
	}
	r.countStart(s, id)
	if err := limits.KillTogether(r.groups.cgroups, i); err != nil {
		r.log.Warn("a container that runs out of memory may lose some of its processes only",
			"pod", r.state.ref, "container", s.Container.Name, "error", err)
	}
	if err := limits.LimitHugePages(r.groups.cgroups, r.groups.hugePages, r.pod, s.Container, i); err != nil {
		r.log.Warn("a container may take more huge pages than it declares", "pod", r.state.ref, "container", s.Container.Name, "error", err)
	}
	r.events.event(r.pod, s.Container, v1.EventTypeNormal, "Started", "Container started")
	return outcome{container: s.Container.Name}
}

// createContainer returns no ID if the container has to wait.
func (r *pipeline) createContainer(ctx context.Context, s plan.Start, image *images.State) (string, outcome) {
	o := outcome{container: s.Container.Name}
	ready, why, wake := r.images.Ensure(ctx, r.pod, s.Container, image)
	if !ready {
		o.waiting, o.wake = why, wake
		return "", o
	}
	if ready, o.waiting, o.wake = r.ensureImageVolumes(ctx, s.Container); !ready {
		return "", o
	}
	spec, err := r.spec(ctx, s)
	if pods.IsRefused(err) {
		o.waiting, o.wake = r.createFailed(ctx, s, image, err)
		return "", o
	}
	if err != nil {
		r.events.event(r.pod, s.Container, v1.EventTypeWarning, "Failed", "Error: %v", err)
		o.waiting, o.wake = pods.Waiting{Reason: "CreateContainerConfigError", Message: err.Error()}, r.now().Add(configRetry)
		return "", o
	}
	r.giveVolumes(ctx, s.Container, spec)
	id, err := r.obtain(ctx, s, spec)
	if err == nil {
		if message := image.Announcement(); message != "" {
			r.events.event(r.pod, s.Container, v1.EventTypeNormal, "Pulled", "%s", message)
		}
		r.events.event(r.pod, s.Container, v1.EventTypeNormal, "Created", "Container created")
		image.Created()
		return id, o
	}
	o.waiting, o.wake = r.createFailed(ctx, s, image, err)
	o.repeats = docker.IsConflict(err)
	return "", o
}

// configRetry is how often a missing ConfigMap or Secret is looked for; a kubelet's
// sync period.
const configRetry = 10 * time.Second

// spec is the Docker container that is declared.
func (r *pipeline) spec(ctx context.Context, s plan.Start) (docker.ContainerSpec, error) {
	if files.UsesPodIP(s.Container) {
		<-r.running
	}
	var ips pods.IPs
	select {
	case <-r.running:
		ips = r.podIPs
	default:
	}
	env, err := r.files.Environment(ctx, r.pod, s.Container, ips)
	if err != nil {
		return docker.ContainerSpec{}, err
	}
	mounts, err := r.files.Mounts(r.pod, s.Container, env, r.state.persistent)
	if err != nil {
		return docker.ContainerSpec{}, err
	}
	if message, ok, err := r.files.MessageMount(r.pod, s.Container, s.Attempt); err != nil {
		return docker.ContainerSpec{}, err
	} else if ok {
		mounts = append(mounts, message)
	}
	if err := r.specs.VerifyNonRoot(ctx, r.pod, s.Container); err != nil {
		return docker.ContainerSpec{}, err
	}
	spec := r.specs.Container(r.pod, s.Container, s.Attempt, r.sandboxID, env, mounts)
	spec.CgroupParent = r.group
	spec.Groups = append(spec.Groups, persistentGroups(r.pod, r.state)...)
	if r.plan.RestartGeneration > 0 {
		spec.Labels[pods.LabelRestartGeneration] = strconv.Itoa(r.plan.RestartGeneration)
	}
	if s.TargetID != "" {
		spec.PID = "container:" + s.TargetID
	}
	return spec, r.specs.Confine(ctx, &spec, r.pod, s.Container)
}

// createFailed finds out why, as far as it matters.
func (r *pipeline) createFailed(ctx context.Context, s plan.Start, image *images.State, err error) (pods.Waiting, time.Time) {
	switch {
	case docker.IsUnavailable(err):
		return pods.Waiting{Reason: "ContainerCreating"}, r.now().Add(unavailableRetry)
	case docker.IsNotFound(err):
		if _, e := r.engine.Image(ctx, s.Container.Image); docker.IsNotFound(e) {
			return r.images.Missing(ctx, r.pod, s.Container, image)
		}
	case docker.IsConflict(err): // the mirror knows it by now, or Docker is still making it
		return pods.Waiting{Reason: "ContainerCreating"}, r.now().Add(retryFirst)
	}
	if r.plan.Sandbox.Running() && r.acts.endsNow(ctx, r.sandboxID) {
		return pods.Waiting{Reason: "ContainerCreating"}, r.now().Add(retryFirst)
	}
	r.events.event(r.pod, s.Container, v1.EventTypeWarning, "Failed", "Error: %s", docker.Words(err))
	return pods.Waiting{Reason: "CreateContainerError", Message: docker.Words(err)}, r.now().Add(retryFirst)
}
