package netproxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/cache"
)

const (
	// minSyncInterval is the time from one pass over the Services to the next: the first change of a burst is
	// applied at once, the others together. A rollout changes endpoints all the time, and a pass costs 10 ms.
	minSyncInterval = 50 * time.Millisecond
	// minHostInterval is the same for devices and routes, which every container that starts changes.
	minHostInterval = 200 * time.Millisecond
	// defaultVerifyInterval is the same for other people's changes of rules: reading all of ours back takes 0.2 s of
	// processor time with 1,000 Services.
	defaultVerifyInterval = 5 * time.Second
	// newBridgeInterval is when rules are looked at after the bridge was made again, whatever was looked at before:
	// Docker puts those of a new network before ours then.
	newBridgeInterval = time.Second
	// defaultPollInterval is for what nobody tells about: ports that become free, and rules in legacy mode.
	defaultPollInterval = 10 * time.Second
	// retryInterval is the pause after a failure, such as a bridge that is not there yet.
	retryInterval = time.Second
)

// Run applies the rules and keeps them until ctx ends, then returns nil. The rules stay, so that connections
// outlive the daemon; only the NodePorts' sockets are closed. Cleanup removes the rules.
//
// Failures are logged and retried: a machine whose bridge or iptables comes back is served again.
func (p *Proxy) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), p.synced...) {
		return nil
	}
	defer p.ports.reserve(nil)
	defer p.loopback6.reserve(nil)
	defer p.health.close()
	var g errgroup.Group
	g.Go(func() error { p.keepWatching(ctx, "devices and routes", p.watchHost, p.hostChanged); return nil })
	if !p.kernel.untold() {
		g.Go(func() error { p.keepWatching(ctx, "nftables rules", watchRules, p.rulesChanged); return nil })
	}
	g.Go(func() error { p.loop(ctx); return nil })
	return g.Wait()
}

// keepWatching starts a watch again when it fails. What happened in between is seen at the next poll.
func (p *Proxy) keepWatching(ctx context.Context, what string, watch func(context.Context, func()) error, c chan struct{}) {
	for ctx.Err() == nil {
		if err := watch(ctx, func() { signal(c) }); err != nil {
			p.log.Warn("the kernel does not tell about changes; polling", "of", what, "every", p.pollInterval, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(p.pollInterval):
			}
		}
	}
}

func (p *Proxy) watchHost(ctx context.Context, changed func()) error {
	return watchHost(ctx, p.families(), changed)
}

// loop does one thing at a time until ctx ends.
func (p *Proxy) loop(ctx context.Context) {
	for _, s := range p.sides {
		s.desired.settings.features = s.tools.probe(ctx)
	}
	poll := time.NewTicker(p.pollInterval)
	defer poll.Stop()
	objects, host, rules := newGate(minSyncInterval), newGate(minHostInterval), newGate(p.verifyInterval)
	failed := newGate(retryInterval)
	failed.ask() // the first pass is the retry of nothing
	lastError := ""
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-p.objectsChanged:
			objects.ask()
			continue
		case <-p.hostChanged:
			host.ask()
			continue
		case <-p.rulesChanged:
			if p.somebodyChangedRules() {
				rules.ask()
			}
			continue
		case <-objects.timer.C:
			objects.pass()
			err = p.sync(ctx)
		case <-host.timer.C:
			host.pass()
			before := p.sides[0].host.index
			if err = p.checkHost(ctx); before != 0 && before != p.sides[0].host.index {
				rules.askWithin(newBridgeInterval)
			}
		case <-rules.timer.C:
			rules.pass()
			err = p.checkRules(ctx)
		case <-failed.timer.C:
			failed.pass()
			err = p.checkAll(ctx)
		case <-poll.C:
			err = p.checkAll(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			lastError = ""
		default:
			failed.ask()
			if err.Error() != lastError { // once, not once a second
				p.log.Error("cannot bring the rules of Services up to date; retrying", "err", err)
			}
			lastError = err.Error()
		}
	}
}

// checkAll looks at everything, in the order in which things stand on each other.
func (p *Proxy) checkAll(ctx context.Context) error {
	if err := p.checkHost(ctx); err != nil {
		return err
	}
	if p.somebodyChangedRules() {
		if err := p.checkRules(ctx); err != nil {
			return err
		}
	}
	return p.sync(ctx)
}

// checkHost keeps route and kernel settings. Rules follow when the kernel shows more or less to iptables than before.
func (p *Proxy) checkHost(context.Context) error {
	for _, s := range p.sides {
		seen, err := s.host.ensure()
		if err != nil {
			return err
		}
		if s.desired.settings.masqueradePods == seen {
			s.desired.settings.masqueradePods, s.changed.all = !seen, true
			signal(p.objectsChanged)
		}
	}
	p.hostReady = true
	return nil
}

// sync reads what is wanted now and makes it so. It waits for the route: rules without it would send Services'
// packets off this machine while they are incomplete.
func (p *Proxy) sync(ctx context.Context) (err error) {
	if !p.hostReady {
		return nil
	}
	waiting := p.redirections.take()
	defer func() { p.redirections.finish(waiting, err) }()
	if err := p.observe(); err != nil {
		return err
	}
	if err := p.observePolicies(); err != nil {
		return err
	}
	if err := p.applyRules(ctx); err != nil {
		return err
	}
	if err := p.health.sync(); err != nil {
		return fmt.Errorf("health checks of Services: %w", err)
	}
	return p.forgetFlows()
}

// forgetFlows goes on without where conntrack cannot be changed at all: such clients reconnect in the end.
func (p *Proxy) forgetFlows() error {
	for _, s := range p.sides {
		forgotten, err := s.flows.forgetStale()
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		s.host.warn(err, "clients may keep talking to endpoints that are gone")
		if forgotten > 0 {
			p.log.Debug("flows that lead nowhere forgotten", "flows", forgotten)
		}
		s.flows.forgotten()
	}
	return nil
}

// applyRules applies, and knows the generation afterwards if nobody else's transaction came in between.
func (p *Proxy) applyRules(ctx context.Context) error {
	before, _ := rulesGeneration()
	if !p.applied {
		p.generation = before // apply reads what it does not know, and writes all of it
	}
	var transactions uint32
	var errs []error
	for _, s := range p.sides {
		n, err := s.backend.apply(ctx, s.desired, s.changed)
		s.changed = changes{}
		transactions, errs = transactions+n, append(errs, err)
	}
	err := errors.Join(errs...)
	if p.applied = err == nil; err != nil {
		return err
	}
	if after, err := rulesGeneration(); err == nil && before == p.generation && after == before+transactions {
		p.generation = after
	}
	p.readyOnce.Do(func() { close(p.ready) })
	return nil
}

// somebodyChangedRules is cheap: the kernel counts transactions. In legacy mode nobody counts: perhaps they did.
func (p *Proxy) somebodyChangedRules() bool {
	if p.kernel.untold() {
		return true
	}
	now, err := rulesGeneration()
	return err != nil || now != p.generation
}

// checkRules reads the rules back and repairs what somebody else broke.
func (p *Proxy) checkRules(ctx context.Context) error {
	if !p.hostReady {
		return nil
	}
	generation, _ := rulesGeneration()
	allWhole := true
	for _, s := range p.sides {
		whole, err := s.backend.verify(ctx)
		if err != nil {
			return err
		}
		allWhole = allWhole && whole
	}
	if !allWhole {
		return p.sync(ctx)
	}
	p.generation = generation
	return nil
}

// gate lets through at most one pass per interval: the first at once, later ones when it opens again.
type gate struct {
	interval time.Duration
	timer    *time.Timer
	asked    bool
	last     time.Time
}

func newGate(interval time.Duration) *gate {
	g := &gate{interval: interval, timer: time.NewTimer(0)}
	g.timer.Stop()
	return g
}

// pass notes that timer.C fired: the pass begins.
func (g *gate) pass() {
	g.asked = false
	g.last = time.Now()
}

// ask wants a pass.
func (g *gate) ask() {
	if !g.asked {
		g.asked = true
		g.timer.Reset(time.Until(g.last.Add(g.interval)))
	}
}

// askWithin wants a pass soon, though the gate would be closed.
func (g *gate) askWithin(d time.Duration) {
	g.asked = true
	g.timer.Reset(min(d, max(0, time.Until(g.last.Add(g.interval)))))
}
