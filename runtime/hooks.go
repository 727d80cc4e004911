package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/probe"
	v1 "k8s.io/api/core/v1"
)

// hook is a postStart hook that runs, or ran in this life of the agent.
type hook struct {
	ended  chan struct{}
	cancel context.CancelFunc
	err    error // valid after ended is closed
}

// hookMark is a file that says that a container's postStart hook was run. Without it a
// hook that was under way when the agent ended is run again: at least once is the
// promise. https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
func (a *Agent) hookMark(i pods.Instance) string {
	return filepath.Join(a.dirs.Pod(i.Pod.UID), "hooks", i.ID)
}

// hookState tells how far the postStart hook of a running container is.
func (a *Agent) hookState(s *podState, c *v1.Container, i pods.Instance) pods.HookState {
	if c == nil || c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return pods.HookDone
	}
	h := s.hooks[i.ID]
	if h == nil {
		if _, err := os.Stat(a.hookMark(i)); err == nil {
			return pods.HookDone
		}
		return pods.HookDue
	}
	select {
	case <-h.ended:
	default:
		return pods.HookRunning
	}
	if h.err != nil {
		return pods.HookFailed
	}
	return pods.HookDone
}

// healthOf tells how a Pod's running containers are.
func (a *Agent) healthOf(s *podState) func(*v1.Container, pods.Instance) pods.Health {
	return func(c *v1.Container, i pods.Instance) pods.Health {
		h := a.probes.health(i.ID, c)
		h.Hook = a.hookState(s, c, i)
		return h
	}
}

// reasonPostStartHookError is why a container whose postStart hook failed does not run: it
// is about to end.
const reasonPostStartHookError = "PostStartHookError"

// runHooks starts the postStart hooks that are due, notes those that failed, and ends those
// of containers that ended meanwhile. A hook runs beside the Pod's worker, so that it cannot
// hold up the Pod's end.
func (a *Agent) runHooks(pod *v1.Pod, s *podState, have []pods.Instance) {
	alive := map[string]bool{}
	podIP := a.addressOf(pod, have)
	for _, i := range pods.Running(have) {
		alive[i.ID] = true
		c := pods.Container(pod, i.ContainerName)
		switch state := a.hookState(s, c, i); {
		case state == pods.HookDue && podIP != "":
			a.startHook(pod, s, c, i, podIP)
		case state == pods.HookFailed:
			s.waiting[c.Name] = pods.Waiting{Reason: reasonPostStartHookError, Message: s.hooks[i.ID].err.Error()}
		}
	}
	for id, h := range s.hooks {
		if !alive[id] {
			h.cancel()
			delete(s.hooks, id)
		}
	}
}

// cancelHooks ends the postStart hooks of a Pod that ends.
func (a *Agent) cancelHooks(s *podState) {
	for _, h := range s.hooks {
		h.cancel()
	}
}

func (a *Agent) startHook(pod *v1.Pod, s *podState, c *v1.Container, i pods.Instance, podIP string) {
	own, cancel := context.WithCancel(context.Background())
	h := &hook{ended: make(chan struct{}), cancel: cancel}
	ref := s.ref
	if !a.tasks.start(func(agent context.Context) {
		defer a.workers.enqueue(ref)
		defer close(h.ended)
		defer context.AfterFunc(agent, cancel)()
		if h.err = a.runHook(own, pod, c.Lifecycle.PostStart, a.target(c, i, podIP, false)); h.err == nil {
			if err := mark(a.hookMark(i)); err != nil { // such as a full disk, which is not the container's fault
				a.log.Warn("a hook that was run will be run again after a restart", "pod", ref, "container", c.Name, "error", err)
			}
			a.step("hooked")
		} else if own.Err() == nil {
			a.hookFailed(pod, c, "PostStart", h.err)
		}
	}) {
		cancel()
		return
	}
	s.hooks[i.ID] = h
}

// mark makes an empty file.
func mark(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o640)
}

// runHook does what a hook declares; only ctx bounds it.
func (a *Agent) runHook(ctx context.Context, pod *v1.Pod, h *v1.LifecycleHandler, t probe.Target) error {
	switch {
	case h.Exec != nil:
		code, output, err := t.Exec(ctx, h.Exec.Command)
		if err == nil && code != 0 {
			err = fmt.Errorf("command '%s' exited with %d", strings.Join(h.Exec.Command, " "), code)
		}
		if err != nil {
			return fmt.Errorf("%s lifecycle hook (%v) for Container %q failed - error: %w, message: %q", "Exec", h.Exec.Command, t.Container.Name, err, output)
		}
	case h.HTTPGet != nil:
		plain, err := a.probes.prober.Get(ctx, h.HTTPGet, t)
		if err == nil && plain {
			a.event(pod, t.Container, v1.EventTypeWarning, "LifecycleHTTPFallback",
				"request to HTTPS lifecycle hook of %s got HTTP response, retry with HTTP succeeded", t.Host)
		}
		if err != nil {
			return fmt.Errorf("HTTP lifecycle hook (%s) for Container %q failed - error: %w", h.HTTPGet.Path, t.Container.Name, err)
		}
	case h.Sleep != nil:
		timer := time.NewTimer(time.Duration(h.Sleep.Seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("%s lifecycle hook (%d s) for Container %q ended early: %w", "Sleep", h.Sleep.Seconds, t.Container.Name, context.Cause(ctx))
		}
	}
	return nil
}

// preStop runs a container's preStop hook within its grace period.
func (a *Agent) preStop(ctx context.Context, pod *v1.Pod, c *v1.Container, i pods.Instance, podIP string, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := a.runHook(ctx, pod, c.Lifecycle.PreStop, a.target(c, i, podIP, false)); err != nil {
		a.hookFailed(pod, c, "PreStop", err)
	}
}

// hookFailed tells that a hook failed. What it said may be secret, and is for the log, as on
// a kubelet; the message of a container that does not run for its postStart hook has it too.
func (a *Agent) hookFailed(pod *v1.Pod, c *v1.Container, kind string, err error) {
	a.event(pod, c, v1.EventTypeWarning, "Failed"+kind+"Hook", "%sHook failed", kind)
	a.log.Warn("a hook failed", "pod", pods.RefOf(pod), "hook", kind, "error", err)
}

func hasPreStop(c *v1.Container) bool {
	return c != nil && c.Lifecycle != nil && c.Lifecycle.PreStop != nil
}
