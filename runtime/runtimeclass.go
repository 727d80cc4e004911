package runtime

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runtimeOf is Docker's runtime for the Pod's class: the handler of the RuntimeClass, or
// what has the class's name. It is empty for the engine's default; known is false if
// Docker has none for the class.
// https://kubernetes.io/docs/concepts/containers/runtime-class/
func (a *Agent) runtimeOf(ctx context.Context, pod *v1.Pod) (handler string, known bool, err error) {
	if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
		return "", true, nil
	}
	name := *pod.Spec.RuntimeClassName
	callCtx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	class, err := a.client.NodeV1().RuntimeClasses().Get(callCtx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		handler = class.Handler
	case apierrors.IsNotFound(err):
		handler = name
	default:
		return "", false, fmt.Errorf("find RuntimeClass %q: %w", name, err)
	}
	info, err := a.engine.Info(ctx)
	if err != nil {
		return "", false, err
	}
	if !slices.Contains(info.Runtimes, handler) {
		return "", false, nil
	}
	return handler, true, nil
}

// sandboxRuntime is runtimeOf, and says in an event if Docker has no such runtime.
func (a *Agent) sandboxRuntime(ctx context.Context, pod *v1.Pod) (string, error) {
	handler, known, err := a.runtimeOf(ctx, pod)
	if err == nil && !known {
		a.event(pod, nil, v1.EventTypeWarning, "UnsupportedField", "spec.runtimeClassName is ignored: Docker has no runtime for %q", *pod.Spec.RuntimeClassName)
	}
	return handler, err
}
