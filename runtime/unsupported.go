package runtime

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/spec"
	v1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// warnUnsupported names the fields that are ignored, each once per Pod.
func (a *Agent) warnUnsupported(pod *v1.Pod, s *podState) {
	if s.warnedAt == pod.Generation {
		return
	}
	s.warnedAt = pod.Generation
	for _, path := range spec.Unsupported(pod) {
		if !s.warned[path] {
			s.warned[path] = true
			a.event(pod, nil, v1.EventTypeWarning, "UnsupportedField", "%s is not supported yet and is ignored", path)
		}
	}
}

// sandboxRuntime is Docker's runtime for the Pod's class, and says in an event if Docker has no such runtime.
func (r *pipeline) sandboxRuntime(ctx context.Context, pod *v1.Pod) (string, error) {
	handler, known, err := r.specs.Runtime(ctx, pod)
	if err == nil && !known {
		r.events.event(pod, nil, v1.EventTypeWarning, "UnsupportedField",
			"spec.runtimeClassName is ignored: Docker has no runtime for %q", *pod.Spec.RuntimeClassName)
	}
	return handler, err
}

// runtimeClass reads one of the API.
func (a *Agent) runtimeClass(ctx context.Context, name string) (*nodev1.RuntimeClass, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return a.client.NodeV1().RuntimeClasses().Get(ctx, name, metav1.GetOptions{})
}
