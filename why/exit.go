package why

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// exited explains the end of a container's run. again tells that it runs once more meanwhile.
func (l *look) exited(pod *v1.Pod, s v1.ContainerStatus, t *v1.ContainerStateTerminated, again bool) Link {
	at := podObject(pod)
	c := containerSpec(pod, s.Name)
	if c == nil {
		return broken(at, "container %s has ended: %s", s.Name, l.exitWords(t))
	}
	if t.Reason == "StartError" || t.Reason == "ContainerCannotRun" {
		return l.cannotStart(pod, c, t.Message).seen(t.Reason + ": " + t.Message)
	}
	if kind := l.killedByProbe(pod, s.Name, t); kind != "" {
		return l.probe(pod, c, s, kind).seen(fmt.Sprintf("restarted %s so far", times(s.RestartCount)))
	}
	if l.happened(pod, s.Name, t, "FailedPostStartHook") {
		return l.hookFailed(pod, c, "")
	}
	previous := s.State.Terminated == nil
	name := "container " + s.Name
	if statusOf(pod.Status.InitContainerStatuses, s.Name).Name == s.Name && len(pod.Status.InitContainerStatuses) > 0 && isInitContainer(pod, s.Name) {
		name = "init " + name
	}
	text := name + " has ended"
	if s.RestartCount > 0 {
		text = name + " ends again and again"
	}
	if t.Reason == "OOMKilled" {
		return l.oomKilled(pod, c, broken(at, "%s: the kernel killed it, since it wanted more memory than %s", text, limitText(pod, c))).
			seen(history(l, s, t, again)...).seen(l.logLines(pod, s.Name, previous)...)
	}
	out := broken(at, "%s: %s", text, l.exitWords(t)).seen(history(l, s, t, again)...).seen(message(t)...).seen(l.logLines(pod, s.Name, previous)...)
	flag := ""
	if previous {
		flag = " --previous"
	}
	if t.ExitCode == 0 {
		out.Sentence = fmt.Sprintf("%s: its program is done and ends with success (exit code 0), and the pod's restartPolicy %s starts it again", text, pod.Spec.RestartPolicy)
		return out.mended(l.edited(pod, "give it a command that goes on, or make it a Job"))
	}
	return out.mended(note(l.command(pod.Namespace, "logs %s -c %s%s", pod.Name, s.Name, flag), "all of its log; the program says there what it lacks"))
}

func isInitContainer(pod *v1.Pod, name string) bool {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == name {
			return true
		}
	}
	return false
}

func containerSpec(pod *v1.Pod, name string) *v1.Container {
	for _, all := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for n := range all {
			if all[n].Name == name {
				return &all[n]
			}
		}
	}
	return nil
}

// message is what a run left to say.
func message(t *v1.ContainerStateTerminated) []string {
	if strings.TrimSpace(t.Message) == "" {
		return nil
	}
	return []string{"its last message: " + strings.TrimSpace(t.Message)}
}

// history tells of the runs so far.
func history(l *look, s v1.ContainerStatus, t *v1.ContainerStateTerminated, again bool) (out []string) {
	if !t.StartedAt.IsZero() && !t.FinishedAt.IsZero() {
		out = append(out, fmt.Sprintf("that run took %v and ended %s ago", t.FinishedAt.Sub(t.StartedAt.Time).Round(time.Second), l.since(t.FinishedAt.Time)))
	}
	if s.RestartCount > 0 {
		text := fmt.Sprintf("restarted %s so far", times(s.RestartCount))
		if again && s.State.Running != nil {
			text += fmt.Sprintf("; it runs again for %s", l.since(s.State.Running.StartedAt.Time))
		}
		out = append(out, text)
	}
	return out
}

// What shells and the kernel mean by an exit code.
// https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the signal
	lastSignal        = 64
)

// exitWords puts an exit code into words.
func (l *look) exitWords(t *v1.ContainerStateTerminated) string {
	signal := t.Signal
	if signal == 0 && t.ExitCode > exitSignal && t.ExitCode <= exitSignal+lastSignal {
		signal = t.ExitCode - exitSignal
	}
	switch name := unix.SignalName(syscall.Signal(signal)); {
	case signal > 0 && name != "":
		return fmt.Sprintf("exit code %d, which is that of the signal %s%s", t.ExitCode, name, signalWords[syscall.Signal(signal)])
	case t.ExitCode == exitNotFound:
		return "exit code 127, which a shell gives when it does not find a command"
	case t.ExitCode == exitNotExecutable:
		return "exit code 126, which a shell gives when a command cannot be executed"
	}
	return fmt.Sprintf("its program ends with an error (exit code %d)", t.ExitCode)
}

var signalWords = map[syscall.Signal]string{
	unix.SIGSEGV: " (it touched memory that is not its own)",
	unix.SIGABRT: " (it gave up by itself)",
	unix.SIGKILL: " (somebody killed it)",
	unix.SIGTERM: " (somebody asked it to end)",
	unix.SIGILL:  " (an instruction that this processor does not know)",
	unix.SIGBUS:  " (memory that cannot be reached)",
	unix.SIGFPE:  " (an impossible calculation)",
}

func limitText(pod *v1.Pod, c *v1.Container) string {
	if limit, ok := c.Resources.Limits[v1.ResourceMemory]; ok {
		return "its limit of " + limit.String()
	}
	if pod.Spec.Resources != nil {
		if limit, ok := pod.Spec.Resources.Limits[v1.ResourceMemory]; ok {
			return "the pod's limit of " + limit.String()
		}
	}
	return "there was; it has no limit of its own"
}

// oomKilled adds the command that doubles the limit.
func (l *look) oomKilled(pod *v1.Pod, c *v1.Container, link Link) Link {
	limit, ok := c.Resources.Limits[v1.ResourceMemory]
	if !ok {
		return link
	}
	double := resource.NewQuantity(2*limit.Value(), limit.Format)
	o := l.ownerOf(pod)
	if o.fixed {
		return link.mended(l.edited(pod, fmt.Sprintf("set the memory limit of %s to %s", c.Name, double)))
	}
	return link.mended(l.command(pod.Namespace, "set resources %s -c %s --limits=memory=%s", o.resource, c.Name, double))
}

// happened tells whether an event fell into a run of a container.
func (l *look) happened(pod *v1.Pod, container string, t *v1.ContainerStateTerminated, reason string) bool {
	for _, e := range l.events(pod.Namespace, pod.UID, reason) {
		if e.InvolvedObject.FieldPath == fieldPath(pod, container) && during(eventTime(e), t) {
			return true
		}
	}
	return false
}

// during allows for times that are cut to seconds.
func during(when time.Time, t *v1.ContainerStateTerminated) bool {
	return !when.Before(t.StartedAt.Add(-time.Second)) && !when.After(t.FinishedAt.Add(time.Second))
}

// killedByProbe tells which probe had a run ended; "" is none.
func (l *look) killedByProbe(pod *v1.Pod, container string, t *v1.ContainerStateTerminated) probeKind {
	for _, e := range l.events(pod.Namespace, pod.UID, "Killing") {
		if e.InvolvedObject.FieldPath != fieldPath(pod, container) {
			continue
		}
		if !during(eventTime(e), t) {
			continue
		}
		for _, kind := range []probeKind{liveness, startup} {
			if strings.Contains(e.Message, "failed "+string(kind)+" probe") {
				return kind
			}
		}
	}
	return ""
}

// fieldPath is how events name a container.
func fieldPath(pod *v1.Pod, container string) string {
	if isInitContainer(pod, container) {
		return "spec.initContainers{" + container + "}"
	}
	return "spec.containers{" + container + "}"
}
