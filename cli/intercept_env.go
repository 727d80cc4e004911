package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	resourcehelper "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
	"k8s.io/utils/ptr"

	"github.com/kube-lite/kube-lite/manifest"
)

// variable is one of a container's environment.
type variable struct{ name, value string }

// environment finds the variables that a manifest gives a container, with what the user may read. What the image and the
// node add, such as the addresses of Services, is not among them.
type environment struct {
	client kubernetes.Interface
	values map[string]string // by name, those of now
	names  []string          // in the order of their declaration
}

// of are those of the first container, or a named one, of a pod that a Service selects.
func (e *environment) of(ctx context.Context, svc *corev1.Service, container string) ([]variable, error) {
	pod, err := e.podOf(ctx, svc)
	if err != nil {
		return nil, err
	}
	c, err := containerOf(pod, container)
	if err != nil {
		return nil, err
	}
	e.values = map[string]string{}
	for _, from := range c.EnvFrom {
		if err := e.addAll(ctx, pod.Namespace, from); err != nil {
			return nil, err
		}
	}
	expand := expansion.MappingFuncFor(e.values)
	for _, v := range c.Env {
		value, declared := expansion.Expand(v.Value, expand), true
		if v.ValueFrom != nil {
			if value, declared, err = e.valueFrom(ctx, pod, c, v.ValueFrom); err != nil {
				return nil, fmt.Errorf("variable %s: %w", v.Name, err)
			}
		}
		if declared {
			e.set(v.Name, value)
		}
	}
	var all []variable
	for _, name := range e.names {
		all = append(all, variable{name, e.values[name]})
	}
	return all, nil
}

// podOf is a pod of the Service, one that is ready if there is any.
func (e *environment) podOf(ctx context.Context, svc *corev1.Service) (*corev1.Pod, error) {
	if len(svc.Spec.Selector) == 0 {
		return nil, errors.New("it has no selector that says which these are")
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector).String()
	pods, err := e.client.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	for n := range pods.Items {
		for _, c := range pods.Items[n].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return &pods.Items[n], nil
			}
		}
	}
	if len(pods.Items) == 0 {
		return nil, fmt.Errorf("no pod has the labels %s", selector)
	}
	return &pods.Items[0], nil
}

func containerOf(pod *corev1.Pod, name string) (*corev1.Container, error) {
	var names []string
	for n := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[n]; name == "" || c.Name == name {
			return c, nil
		}
		names = append(names, pod.Spec.Containers[n].Name)
	}
	guess := ""
	if meant := manifest.Nearest(name, names); meant != "" {
		guess = fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return nil, fmt.Errorf("pod %s has no container %q%s: it has %s", pod.Name, name, guess, strings.Join(names, ", "))
}

func (e *environment) set(name, value string) {
	if _, known := e.values[name]; !known {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// addAll adds the variables of a whole ConfigMap or Secret.
func (e *environment) addAll(ctx context.Context, namespace string, from corev1.EnvFromSource) error {
	var data map[string]string
	var err error
	switch {
	case from.ConfigMapRef != nil:
		data, err = e.configMap(ctx, namespace, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		data, err = e.secret(ctx, namespace, from.SecretRef.Name, from.SecretRef.Optional)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		e.set(from.Prefix+key, data[key])
	}
	return err
}

// configMap is the data of a ConfigMap; nil of one that is not there and need not be.
func (e *environment) configMap(ctx context.Context, namespace, name string, optional *bool) (map[string]string, error) {
	m, err := e.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, unlessOptional(err, optional)
	}
	return m.Data, nil
}

// secret is the same of a Secret.
func (e *environment) secret(ctx context.Context, namespace, name string, optional *bool) (map[string]string, error) {
	s, err := e.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, unlessOptional(err, optional)
	}
	data := map[string]string{}
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data, nil
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && ptr.Deref(optional, false) {
		return nil
	}
	return err
}

// valueFrom reads what a variable refers to; declared is false of what is not there and need not be.
func (e *environment) valueFrom(ctx context.Context, pod *corev1.Pod, c *corev1.Container, from *corev1.EnvVarSource) (
	value string, declared bool, err error) {
	pick := func(data map[string]string, err error, what, name, key string, optional *bool) (string, bool, error) {
		value, there := data[key]
		if err == nil && !there && !ptr.Deref(optional, false) {
			err = fmt.Errorf("%s %s has no key %s", what, name, key)
		}
		return value, there, err
	}
	switch {
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := e.configMap(ctx, pod.Namespace, ref.Name, ref.Optional)
		return pick(data, err, "ConfigMap", ref.Name, ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := e.secret(ctx, pod.Namespace, ref.Name, ref.Optional)
		return pick(data, err, "Secret", ref.Name, ref.Key, ref.Optional)
	case from.FieldRef != nil:
		value, err = podField(pod, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		ref := from.ResourceFieldRef
		name := ref.ContainerName
		if name == "" {
			name = c.Name
		}
		value, err = resourcehelper.ExtractResourceValueByContainerName(ref, pod, name)
	default:
		err = errors.New("a file in a volume of the pod cannot be read from here")
	}
	return value, err == nil, err
}

// podField reads a field as the downward API has it.
// https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
func podField(pod *corev1.Pod, path string) (string, error) {
	var hosts, pods []string
	for _, ip := range pod.Status.HostIPs {
		hosts = append(hosts, ip.IP)
	}
	for _, ip := range pod.Status.PodIPs {
		pods = append(pods, ip.IP)
	}
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return pod.Status.HostIP, nil
	case "status.hostIPs":
		return strings.Join(hosts, ","), nil
	case "status.podIP":
		return pod.Status.PodIP, nil
	case "status.podIPs":
		return strings.Join(pods, ","), nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

var (
	shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// plain values mean the same to a shell and to `docker run --env-file`.
	plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]*$`)
)

// environmentText is a file for a shell to source: NAME=value, with the value in single quotes where it needs them, over
// several lines if it has several. Names that no shell takes are in comments.
func environmentText(all []variable) string {
	var b strings.Builder
	for _, v := range all {
		if !shellName.MatchString(v.name) {
			fmt.Fprintf(&b, "# %s is no name for a shell\n", v.name)
			continue
		}
		value := v.value
		if !plain.MatchString(value) {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		}
		fmt.Fprintf(&b, "%s=%s\n", v.name, value)
	}
	return b.String()
}

// writeEnvironment replaces the file. Nobody else may read it: it has the values of Secrets.
func writeEnvironment(path string, all []variable) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".kube-lite-env-*") // 0600
	if err != nil {
		return fmt.Errorf("--env: %w", err)
	}
	defer os.Remove(file.Name()) // gone by then, or half-made
	_, err = file.WriteString(environmentText(all))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("--env: %w", err)
	}
	return nil
}
