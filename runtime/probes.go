package runtime

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/probe"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// probes asks the containers that declare probes, and keeps what they said. Each probe
// has one goroutine, which sleeps between two answers.
type probes struct {
	prober *probe.Prober
	tasks  *tasks

	mu    sync.Mutex // guards what follows
	byID  map[string]*probed
	byPod map[types.UID][]*probed
}

// probed is a container that is asked.
type probed struct {
	pods.Health // guarded by probes.mu
	check
	cancel  context.CancelFunc
	endLife context.CancelFunc // ends the startup and liveness probes only
}

// check is all that a container's probes need.
type check struct {
	container *v1.Container
	instance  pods.Instance
	target    func() probe.Target // the address of a host may change
	// tell sends the event of an answer that is not a plain success.
	tell func(kind string, r probe.Result, output string)
	// changed is called when the health did.
	changed func()
}

func newProbes(t *tasks) *probes {
	return &probes{prober: probe.New(), tasks: t, byID: map[string]*probed{}, byPod: map[types.UID][]*probed{}}
}

// follow has a running container asked from now on, unless it is already. Before is what
// the API says of this very instance: a restarted agent goes on from there, and takes
// nobody out of a Service.
func (p *probes) follow(c check, before pods.Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[c.instance.ID] != nil {
		return
	}
	d := &probed{Health: before, check: c}
	d.Started = d.Started || c.container.StartupProbe == nil
	d.Ready = d.Started && (d.Ready || c.container.ReadinessProbe == nil)
	ctx, cancel := context.WithCancel(context.Background())
	life, endLife := context.WithCancel(ctx)
	d.cancel, d.endLife = cancel, endLife
	began := d.Health
	if p.tasks.start(func(agent context.Context) {
		defer context.AfterFunc(agent, cancel)()
		p.run(ctx, life, d, began)
	}) {
		p.byID[c.instance.ID] = d
		p.byPod[c.instance.Pod.UID] = append(p.byPod[c.instance.Pod.UID], d)
	}
}

// run asks the startup probe until it succeeds, then the others side by side.
func (p *probes) run(ctx, life context.Context, d *probed, began pods.Health) {
	c := d.container
	if !began.Started && !p.startup(life, d) {
		return
	}
	var wg sync.WaitGroup
	if c.LivenessProbe != nil {
		wg.Go(func() {
			p.loop(life, d, "Liveness", probe.Loop{Probe: c.LivenessProbe, Well: true, Turned: func(bool) bool {
				p.set(d, func(h *pods.Health) { h.Failed = "liveness" })
				return false
			}})
		})
	}
	if c.ReadinessProbe != nil {
		p.loop(ctx, d, "Readiness", probe.Loop{Probe: c.ReadinessProbe, Well: began.Ready, Eager: true, Turned: func(well bool) bool {
			p.set(d, func(h *pods.Health) { h.Ready = well })
			return true
		}})
	}
	wg.Wait()
}

// startup returns true when the container has started.
func (p *probes) startup(life context.Context, d *probed) (started bool) {
	p.loop(life, d, "Startup", probe.Loop{Probe: d.container.StartupProbe, Eager: true, Turned: func(well bool) bool {
		started = well
		p.set(d, func(h *pods.Health) {
			if !well {
				h.Failed = "startup"
				return
			}
			h.Started, h.Ready = true, d.container.ReadinessProbe == nil
		})
		return false
	}})
	return started
}

func (p *probes) loop(ctx context.Context, d *probed, kind string, l probe.Loop) {
	timeout := time.Duration(max(l.Probe.TimeoutSeconds, 1)) * time.Second
	l.Started = d.instance.StartedAt
	l.Ask = func(ctx context.Context) (probe.Result, string) {
		return p.prober.Ask(ctx, l.Probe.ProbeHandler, timeout, d.target())
	}
	l.Tell = func(r probe.Result, output string) { d.tell(kind, r, output) }
	l.Run(ctx)
}

func (p *probes) set(d *probed, change func(*pods.Health)) {
	p.mu.Lock()
	before := d.Health
	change(&d.Health)
	changed := before != d.Health
	p.mu.Unlock()
	if changed {
		d.changed()
	}
}

// health is what is known of a running container; one without probes is well.
func (p *probes) health(id string, c *v1.Container) pods.Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.byID[id]; d != nil {
		return d.Health
	}
	return pods.Health{Started: c == nil || c.StartupProbe == nil, Ready: c == nil || c.StartupProbe == nil && c.ReadinessProbe == nil}
}

// stopLiveness ends the probes that would only restart a container which is ending.
func (p *probes) stopLiveness(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.byID[id]; d != nil {
		d.endLife()
	}
}

// keep ends the probes of those of a Pod's containers that do not run any more.
func (p *probes) keep(uid types.UID, alive []pods.Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := slices.DeleteFunc(p.byPod[uid], func(d *probed) bool {
		ended := !slices.ContainsFunc(alive, func(i pods.Instance) bool { return i.ID == d.instance.ID })
		if ended {
			d.cancel()
			delete(p.byID, d.instance.ID)
		}
		return ended
	})
	if p.byPod[uid] = left; len(left) == 0 {
		delete(p.byPod, uid)
	}
}

// followProbes has the Pod's running containers asked, once their postStart hook is done.
func (a *Agent) followProbes(pod *v1.Pod, s *podState, have []pods.Instance) {
	a.probes.keep(s.ref.UID, pods.Running(have))
	podIP := a.addressOf(pod, have)
	for _, i := range pods.Running(have) {
		c := pods.Container(pod, i.ContainerName)
		if c == nil || !hasProbes(c) || podIP == "" || a.hookState(s, c, i) != pods.HookDone {
			continue
		}
		ref := s.ref
		a.probes.follow(check{
			container: c, instance: i, target: func() probe.Target { return a.target(c, i, cmp.Or(a.hostAddressOf(pod), podIP), true) },
			tell:    func(kind string, r probe.Result, output string) { a.recordProbe(pod, c, kind, r, output) },
			changed: func() { a.workers.enqueue(ref) },
		}, healthBefore(pod, i))
	}
}

// hostAddressOf is the address of a Pod in the host's network, as it is now.
func (a *Agent) hostAddressOf(pod *v1.Pod) string {
	if !pod.Spec.HostNetwork {
		return ""
	}
	return a.hostIPs().First()
}

// addressOf is the address of a Pod whose sandbox runs.
func (a *Agent) addressOf(pod *v1.Pod, have []pods.Instance) (podIP string) {
	for _, i := range pods.Running(have) {
		if i.IsSandbox() {
			podIP = a.bridge().podIPs(pod, i).First()
		}
	}
	return podIP
}

// healthBefore is what the API says of an instance.
func healthBefore(pod *v1.Pod, i pods.Instance) pods.Health {
	s := pods.ContainerStatus(pod, i.ContainerName)
	if s == nil || s.ContainerID != "docker://"+i.ID || s.State.Running == nil {
		return pods.Health{}
	}
	return pods.Health{Started: s.Started != nil && *s.Started, Ready: s.Ready}
}

// execOutputLimit is how much of a probe's or a hook's output is kept, in bytes: a kubelet's.
const execOutputLimit = 10 << 10

// target is a container as probes and hooks reach it. What a probe's command leaves behind is
// killed when it has ended; a hook's may be what the hook is for.
func (a *Agent) target(c *v1.Container, i pods.Instance, podIP string, probes bool) probe.Target {
	return probe.Target{Container: c, Host: podIP, Exec: func(ctx context.Context, command []string) (int, string, error) {
		out := &headBuffer{limit: execOutputLimit}
		code, err := a.engine.Exec(ctx, i.ID, command, docker.Streams{Out: out, Err: out, Kill: true, Reap: probes})
		if failed := (*docker.NotStartedError)(nil); errors.As(err, &failed) {
			err = errors.New(failed.Reason)
		}
		return code, out.String(), err
	}}
}

func (a *Agent) recordProbe(pod *v1.Pod, c *v1.Container, kind string, r probe.Result, output string) {
	switch r {
	case probe.Warning:
		a.event(pod, c, v1.EventTypeWarning, "ProbeWarning", "%s probe warning: %s", kind, output)
	case probe.Failure:
		a.event(pod, c, v1.EventTypeWarning, "Unhealthy", "%s probe failed: %s", kind, output)
	default:
		a.event(pod, c, v1.EventTypeWarning, "Unhealthy", "%s probe errored and resulted in unknown state: %s", kind, output)
	}
}

// headBuffer keeps the beginning of what is written to it.
type headBuffer struct {
	limit int

	mu   sync.Mutex // guards text: two streams may write
	text []byte
}

func (b *headBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p[:min(len(p), b.limit-len(b.text))]...)
	return len(p), nil
}

func (b *headBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

func hasProbes(c *v1.Container) bool {
	return c.StartupProbe != nil || c.LivenessProbe != nil || c.ReadinessProbe != nil
}
