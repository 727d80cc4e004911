package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/securitycontext"
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
	callCtx, cancel := context.WithTimeout(ctx, writeTimeout)
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

// joinGroup gives the image's own user the group that is declared without a user, as a
// kubelet does; Docker would take a group alone for a user.
func (a *Agent) joinGroup(ctx context.Context, spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) error {
	merged := securitycontext.DetermineEffectiveSecurityContext(pod, c)
	if merged.RunAsUser != nil || merged.RunAsGroup == nil {
		return nil
	}
	image, err := a.engine.Image(ctx, c.Image)
	if err != nil {
		return err
	}
	user, _, _ := strings.Cut(image.User, ":")
	if user == "" {
		user = "0"
	}
	spec.User = user + ":" + strconv.FormatInt(*merged.RunAsGroup, 10)
	return nil
}
