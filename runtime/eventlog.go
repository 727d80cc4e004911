package runtime

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"
)

// eventSource names the sender of the events: `kubectl describe` shows it as "kubelet".
const eventSource = "kubelet"

// newBroadcaster makes the recorder of the node's events. What repeats is counted.
func newBroadcaster() record.EventBroadcaster { return record.NewBroadcaster() }

func newRecorder(b record.EventBroadcaster, node string) record.EventRecorder {
	return b.NewRecorder(scheme.Scheme, v1.EventSource{Component: eventSource, Host: node})
}

// recordEvents has events written until the function that it returns is called.
func (a *Agent) recordEvents(ctx context.Context) (stop func()) {
	sink := &typedcorev1.EventSinkImpl{Interface: a.client.CoreV1().Events("")}
	recording := a.events.StartRecordingToSink(deferredEvents{EventSink: sink, starts: a.starts, ended: ctx.Done(), now: a.now})
	return func() {
		a.events.Shutdown()
		recording.Stop()
	}
}

// eventLog is where what happens to Pods is recorded.
type eventLog struct {
	recorder record.EventRecorder
	log      *slog.Logger
}

// event records what happened to a container or, if c is nil, to the Pod.
func (e *eventLog) event(pod *v1.Pod, c *v1.Container, kind, reason, format string, args ...any) {
	ref, err := reference.GetReference(scheme.Scheme, pod)
	if err != nil {
		e.log.Error("an event has no subject", "pod", pod.Name, "error", err)
		return
	}
	if c != nil {
		ref.FieldPath = fieldPath(pod, c.Name)
	}
	e.recorder.Event(ref, kind, reason, fmt.Sprintf(format, args...))
}

// fieldPath names a container within its Pod, as events do.
func fieldPath(pod *v1.Pod, container string) string {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == container {
			return fmt.Sprintf("spec.initContainers{%s}", container)
		}
	}
	if pods.Ephemeral(pod, container) != nil {
		return fmt.Sprintf("spec.ephemeralContainers{%s}", container)
	}
	return fmt.Sprintf("spec.containers{%s}", container)
}
