package files

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// sources finds what variables and files come from; *Files in production.
type sources interface {
	ConfigMap(ctx context.Context, namespace, name string) (*v1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*v1.Secret, error)
	// envFile is a variable of a file in one of the Pod's volumes; ok is false if it is
	// optional and not there.
	envFile(pod *v1.Pod, ref *v1.FileKeySelector) (value string, ok bool, err error)
}

// Environment computes a container's variables, NAME=value in the order of their first declaration. The addresses are
// the Pod's, as far as they are known: see UsesPodIP.
func (f *Files) Environment(ctx context.Context, pod *v1.Pod, c *v1.Container, ips pods.IPs) ([]string, error) {
	return environment(ctx, pod, c, f.config.Node(), ips, f, f.serviceEnv(pod))
}

// environment computes a container's variables on top of those of the services, NAME=value in the order of their first
// declaration. A variable may refer to those before it as $(NAME); $$ is a dollar.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
func environment(ctx context.Context, pod *v1.Pod, c *v1.Container, node Node, ips pods.IPs, from sources, services []v1.EnvVar) ([]string, error) {
	e := &env{values: map[string]string{}}
	for _, v := range services {
		e.set(v.Name, v.Value)
	}
	if err := e.addAll(ctx, pod, c, from); err != nil {
		return nil, err
	}
	mapping := expansion.MappingFuncFor(e.values)
	for _, v := range c.Env {
		value, ok, err := variable(ctx, pod, c, v, node, ips, from, mapping)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := checkValue(value); err != nil {
			return nil, fmt.Errorf("environment variable %s from %s: %w", v.Name, valueSource(pod.Namespace, v), err)
		}
		e.set(v.Name, value)
	}
	out := make([]string, 0, len(e.names))
	for _, name := range e.names {
		out = append(out, name+"="+e.values[name])
	}
	return out, nil
}

// checkValue refuses what does not arrive in a container as it is. What it says must not show
// the value, which may be secret; the engine's own message does.
func checkValue(value string) error {
	switch {
	case !utf8.ValidString(value):
		return errors.New("its value is not UTF-8 text, which the Docker Engine would change: mount it as a file instead")
	case strings.ContainsRune(value, 0):
		return errors.New("its value has a NUL byte, which no environment can hold: mount it as a file instead")
	}
	return nil
}

// valueSource names where a declared variable gets its value, for messages.
func valueSource(namespace string, v v1.EnvVar) string {
	switch s := v.ValueFrom; {
	case s == nil:
		return "its declaration"
	case s.ConfigMapKeyRef != nil:
		return fmt.Sprintf("key %s of ConfigMap %s/%s", s.ConfigMapKeyRef.Key, namespace, s.ConfigMapKeyRef.Name)
	case s.SecretKeyRef != nil:
		return fmt.Sprintf("key %s of Secret %s/%s", s.SecretKeyRef.Key, namespace, s.SecretKeyRef.Name)
	case s.FileKeyRef != nil:
		return fmt.Sprintf("key %s of file %s in volume %s", s.FileKeyRef.Key, s.FileKeyRef.Path, s.FileKeyRef.VolumeName)
	}
	return "a field of the pod"
}

// envSource is valueSource of a key that envFrom brings.
func envSource(namespace string, s v1.EnvFromSource, key string) string {
	if s.SecretRef != nil {
		return fmt.Sprintf("key %s of Secret %s/%s", key, namespace, s.SecretRef.Name)
	}
	return fmt.Sprintf("key %s of ConfigMap %s/%s", key, namespace, s.ConfigMapRef.Name)
}

// env is an ordered map.
type env struct {
	names  []string
	values map[string]string
}

func (e *env) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// addAll adds what envFrom brings.
func (e *env) addAll(ctx context.Context, pod *v1.Pod, c *v1.Container, from sources) error {
	for _, s := range c.EnvFrom {
		data, err := envFrom(ctx, pod.Namespace, s, from)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(data)) {
			if err := checkValue(data[name]); err != nil {
				return fmt.Errorf("environment variable %s from %s: %w", s.Prefix+name, envSource(pod.Namespace, s, name), err)
			}
			e.set(s.Prefix+name, data[name])
		}
	}
	return nil
}

func envFrom(ctx context.Context, namespace string, s v1.EnvFromSource, from sources) (map[string]string, error) {
	switch {
	case s.ConfigMapRef != nil:
		m, err := from.ConfigMap(ctx, namespace, s.ConfigMapRef.Name)
		if missing(err, s.ConfigMapRef.Optional) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return m.Data, nil
	case s.SecretRef != nil:
		m, err := from.Secret(ctx, namespace, s.SecretRef.Name)
		if missing(err, s.SecretRef.Optional) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		out := make(map[string]string, len(m.Data))
		for k, v := range m.Data {
			out[k] = string(v)
		}
		return out, nil
	}
	return nil, nil
}

// variable is the value of one declared variable; ok is false if an optional source
// does not have it.
func variable(ctx context.Context, pod *v1.Pod, c *v1.Container, v v1.EnvVar,
	node Node, ips pods.IPs, from sources, mapping func(string) string) (string, bool, error) {
	if v.ValueFrom == nil {
		return expansion.Expand(v.Value, mapping), true, nil
	}
	switch s := v.ValueFrom; {
	case s.FieldRef != nil:
		value, err := fieldRef(pod, node, ips, s.FieldRef.FieldPath)
		return value, err == nil, err
	case s.ResourceFieldRef != nil:
		value, err := resourceFieldRef(pod, c, node, s.ResourceFieldRef)
		return value, err == nil, err
	case s.ConfigMapKeyRef != nil:
		return fromConfigMap(ctx, pod.Namespace, s.ConfigMapKeyRef, from)
	case s.SecretKeyRef != nil:
		return fromSecret(ctx, pod.Namespace, s.SecretKeyRef, from)
	case s.FileKeyRef != nil:
		return from.envFile(pod, s.FileKeyRef)
	}
	return "", false, nil
}

func fromConfigMap(ctx context.Context, namespace string, ref *v1.ConfigMapKeySelector, from sources) (string, bool, error) {
	m, err := from.ConfigMap(ctx, namespace, ref.Name)
	if missing(err, ref.Optional) {
		return "", false, nil
	} else if err != nil {
		return "", false, err
	}
	value, ok := m.Data[ref.Key]
	if !ok && !optional(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, namespace, ref.Name)
	}
	return value, ok, nil
}

func fromSecret(ctx context.Context, namespace string, ref *v1.SecretKeySelector, from sources) (string, bool, error) {
	m, err := from.Secret(ctx, namespace, ref.Name)
	if missing(err, ref.Optional) {
		return "", false, nil
	} else if err != nil {
		return "", false, err
	}
	value, ok := m.Data[ref.Key]
	if !ok && !optional(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, namespace, ref.Name)
	}
	return string(value), ok, nil
}

func optional(o *bool) bool { return o != nil && *o }

// missing tells that a source does not exist and need not.
func missing(err error, o *bool) bool { return apierrors.IsNotFound(err) && optional(o) }

// UsesPodIP tells that a container's variables need the Pod's address, so that it can
// be created only when the sandbox runs.
func UsesPodIP(c *v1.Container) bool {
	for _, v := range c.Env {
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil && strings.HasPrefix(v.ValueFrom.FieldRef.FieldPath, "status.podIP") {
			return true
		}
	}
	return false
}
