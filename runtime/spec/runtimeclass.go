package spec

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Runtime is Docker's runtime for the Pod's class: the handler of the RuntimeClass, or
// what has the class's name. It is empty for the engine's default; known is false if
// Docker has none for the class.
// https://kubernetes.io/docs/concepts/containers/runtime-class/
func (b *Builder) Runtime(ctx context.Context, pod *v1.Pod) (handler string, known bool, err error) {
	if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
		return "", true, nil
	}
	name := *pod.Spec.RuntimeClassName
	class, err := b.config.RuntimeClass(ctx, name)
	switch {
	case err == nil:
		handler = class.Handler
	case apierrors.IsNotFound(err):
		handler = name
	default:
		return "", false, fmt.Errorf("find RuntimeClass %q: %w", name, err)
	}
	info, err := b.config.Engine.Info(ctx)
	if err != nil {
		return "", false, err
	}
	if !slices.Contains(info.Runtimes, handler) {
		return "", false, nil
	}
	return handler, true, nil
}
