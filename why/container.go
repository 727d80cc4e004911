package why

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// initContainers finds the first init container that has not done its part.
func (l *look) initContainers(pod *v1.Pod) links {
	for n := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[n]
		s := statusOf(pod.Status.InitContainerStatuses, c.Name)
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
		switch {
		case s.State.Terminated != nil && s.State.Terminated.ExitCode == 0 && !sidecar:
			continue
		case sidecar && s.State.Running != nil && s.Started != nil && *s.Started:
			continue
		case s.State.Running != nil && !sidecar && !recentlyRestarted(l, s):
			return links{waiting(podObject(pod), "init container %s has been running for %s; the other containers start when it has ended with success", c.Name, l.since(s.State.Running.StartedAt.Time)).
				seen(l.logLines(pod, c.Name, false)...).
				mended(note(l.command(pod.Namespace, "logs %s -c %s -f", pod.Name, c.Name), "to see what it waits for"))}
		}
		if found := l.container(pod, c, s); !found.well() {
			return found
		}
	}
	return nil
}

// containers finds the container that explains most.
func (l *look) containers(pod *v1.Pod) links {
	var parts []links
	for n := range pod.Spec.Containers {
		c := &pod.Spec.Containers[n]
		parts = append(parts, l.container(pod, c, statusOf(pod.Status.ContainerStatuses, c.Name)))
	}
	return worst(parts)
}

func statusOf(all []v1.ContainerStatus, name string) v1.ContainerStatus {
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return v1.ContainerStatus{Name: name}
}

// container explains one that does not do what it should.
func (l *look) container(pod *v1.Pod, c *v1.Container, s v1.ContainerStatus) links {
	switch {
	case s.State.Waiting != nil:
		return links{l.waitingContainer(pod, c, s)}
	case s.State.Terminated != nil:
		return links{l.exited(pod, s, s.State.Terminated, false)}
	case s.State.Running == nil:
		return links{waiting(podObject(pod), "container %s has not been created yet", c.Name)}
	case recentlyRestarted(l, s):
		return links{l.exited(pod, s, s.LastTerminationState.Terminated, true)}
	case s.Started != nil && !*s.Started && c.StartupProbe != nil:
		return links{l.probe(pod, c, s, startup)}
	case !s.Ready && c.ReadinessProbe != nil:
		return links{l.probe(pod, c, s, readiness)}
	case !s.Ready && s.Started != nil && *s.Started && c.RestartPolicy == nil && l.isInit(pod, c.Name):
		return nil
	case !s.Ready:
		return links{waiting(podObject(pod), "container %s runs for %s and is not ready yet", c.Name, l.since(s.State.Running.StartedAt.Time))}
	}
	return nil
}

func (l *look) isInit(pod *v1.Pod, name string) bool {
	return statusOf(pod.Status.InitContainerStatuses, name).ContainerID != ""
}

// waitingContainer explains one that does not run, by the reason that its node agent gives.
func (l *look) waitingContainer(pod *v1.Pod, c *v1.Container, s v1.ContainerStatus) Link {
	at, w := podObject(pod), s.State.Waiting
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrImageInspect", "RegistryUnavailable", "SignatureValidationFailed":
		return l.image(pod, c, w)
	case "CreateContainerConfigError":
		return l.config(pod, c, w)
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError":
		return l.cannotStart(pod, c, w.Message).seen(w.Reason + ": " + w.Message)
	case "PostStartHookError":
		return l.hookFailed(pod, c, w.Message)
	}
	if t := s.LastTerminationState.Terminated; t != nil {
		out := l.exited(pod, s, t, false).seen(pauseText(w.Message))
		if s.RestartCount >= crashLoops {
			out = out.caused(CrashLoop)
		}
		return out
	}
	if pulling := l.events(pod.Namespace, pod.UID, "Pulling"); len(pulling) > 0 && strings.Contains(pulling[0].Message, quote(c.Image)) {
		return waiting(at, "the image %s of container %s is being pulled, for %s so far", quote(c.Image), c.Name, l.since(eventTime(pulling[0]))).seen(pulling[0].Message)
	}
	return waiting(at, "container %s has not been started yet", c.Name).seen(strings.TrimSpace(w.Reason + " " + w.Message))
}

// crashLoops is how many restarts make a CrashLoop: a program that waits for another one may end once or twice.
const crashLoops = 3

// hookFailed explains a container that is ended since its postStart hook failed.
func (l *look) hookFailed(pod *v1.Pod, c *v1.Container, said string) Link {
	what := "its hook"
	if c.Lifecycle != nil && c.Lifecycle.PostStart != nil && c.Lifecycle.PostStart.Exec != nil {
		what = "the command " + quote(strings.Join(c.Lifecycle.PostStart.Exec.Command, " "))
	}
	return broken(podObject(pod), "container %s is ended after each start, since its postStart hook fails: %s", c.Name, what).
		seen(said).seen(l.eventLines(1, l.events(pod.Namespace, pod.UID, "FailedPostStartHook"))...).
		mended(l.edited(pod, "correct lifecycle.postStart of "+c.Name))
}

var backOff = regexp.MustCompile(`^back-off (\S+) restarting failed`)

// pauseText says why a container that ended does not run again yet.
func pauseText(message string) string {
	if m := backOff.FindStringSubmatch(message); m != nil {
		return "it is started again after a pause of " + m[1] + ", which grows with each end"
	}
	return message
}

// unsettled is how long a container that was restarted has to run until its last end is history.
const unsettled = time.Minute

func recentlyRestarted(l *look, s v1.ContainerStatus) bool {
	return s.RestartCount > 0 && s.LastTerminationState.Terminated != nil && s.State.Running != nil &&
		l.opts.Now().Sub(s.State.Running.StartedAt.Time) < unsettled
}

// unsteady finds what a Pod that is ready now ended of a moment ago.
func (l *look) unsteady(pod *v1.Pod) links {
	for _, s := range pod.Status.ContainerStatuses {
		if recentlyRestarted(l, s) {
			return links{l.exited(pod, s, s.LastTerminationState.Terminated, true)}
		}
	}
	return nil
}

// logLines are the last lines that a container printed, or its run before this one.
func (l *look) logLines(pod *v1.Pod, container string, previous bool) []string {
	lines := int64(5)
	text, err := l.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &v1.PodLogOptions{Container: container, Previous: previous, TailLines: &lines}).DoRaw(l.ctx)
	if err != nil {
		return []string{fmt.Sprintf("its log cannot be read: %v", err)}
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return []string{"its log is empty"}
	}
	return []string{"the end of its log:\n" + strings.TrimSpace(string(text))}
}
