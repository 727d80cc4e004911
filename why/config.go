package why

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// config explains a container that is refused before it is made, mostly for what its environment refers to.
func (l *look) config(pod *v1.Pod, c *v1.Container, w *v1.ContainerStateWaiting) Link {
	at, evidence := podObject(pod), w.Reason+": "+w.Message
	if found, ok := l.brokenReference(pod, c); ok {
		return found.seen(evidence)
	}
	switch {
	case strings.Contains(w.Message, "runAsNonRoot") || strings.Contains(w.Message, "non-root"):
		return broken(at, "container %s may not run as root (runAsNonRoot), and its image %s names no other user by number", c.Name, quote(c.Image)).
			seen(evidence).mended(l.edited(pod, "set securityContext.runAsUser of "+c.Name+" to a number other than 0"))
	case strings.Contains(strings.ToLower(w.Message), "subpath"):
		return broken(at, "container %s cannot be made: its subPath: %s", c.Name, firstLine(w.Message)).
			mended(l.edited(pod, "correct volumeMounts of "+c.Name))
	}
	return broken(at, "container %s cannot be made: %s", c.Name, firstLine(w.Message))
}

// reference is one use of a ConfigMap or Secret.
type configReference struct {
	kind, name, key string // no key: all of it
	use             string // "variable DB_URL of container web"
	optional        bool
}

// brokenReference finds the first ConfigMap, Secret or key that a container's environment needs and that is not there.
func (l *look) brokenReference(pod *v1.Pod, c *v1.Container) (Link, bool) {
	for _, e := range c.EnvFrom {
		use := "the environment of container " + c.Name
		switch {
		case e.ConfigMapRef != nil:
			if found, ok := l.checkReference(pod, configReference{"ConfigMap", e.ConfigMapRef.Name, "", use, deref(e.ConfigMapRef.Optional)}); ok {
				return found, true
			}
		case e.SecretRef != nil:
			if found, ok := l.checkReference(pod, configReference{"Secret", e.SecretRef.Name, "", use, deref(e.SecretRef.Optional)}); ok {
				return found, true
			}
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		use := fmt.Sprintf("variable %s of container %s", e.Name, c.Name)
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			if found, ok := l.checkReference(pod, configReference{"ConfigMap", r.Name, r.Key, use, deref(r.Optional)}); ok {
				return found, true
			}
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			if found, ok := l.checkReference(pod, configReference{"Secret", r.Name, r.Key, use, deref(r.Optional)}); ok {
				return found, true
			}
		}
	}
	return Link{}, false
}

// checkReference looks a ConfigMap or Secret up, and the key in it.
func (l *look) checkReference(pod *v1.Pod, r configReference) (Link, bool) {
	if r.optional {
		return Link{}, false
	}
	at := podObject(pod)
	keys, found := l.keysOf(r.kind, pod.Namespace, r.name)
	switch {
	case found == missing:
		names := l.configNames(r.kind, pod.Namespace)
		out := broken(at, "%s needs the %s %s, which does not exist%s", r.use, r.kind, quote(r.name), orNearest(r.name, names)).
			seen(fmt.Sprintf("%ss in namespace %s: %s", r.kind, pod.Namespace, list(names)))
		if near := nearest(r.name, names); near != "" {
			return out.mended(l.edited(pod, fmt.Sprintf("name the %s %s there", r.kind, near))), true
		}
		return out.mended(l.createConfig(pod.Namespace, r)), true
	case found == present && r.key != "" && !slices.Contains(keys, r.key):
		out := broken(at, "%s needs the key %s of the %s %s, which has no such key%s", r.use, quote(r.key), r.kind, quote(r.name), orNearest(r.key, keys)).
			seen(fmt.Sprintf("keys of %s %s: %s", r.kind, r.name, list(keys)))
		if near := nearest(r.key, keys); near != "" {
			return out.mended(l.edited(pod, fmt.Sprintf("name the key %s there", near))), true
		}
		data := "data"
		if r.kind == "Secret" {
			data = "stringData"
		}
		return out.mended(l.command(pod.Namespace, `patch %s %s --type=merge -p '{"%s":{"%s":"VALUE"}}'`, resourceOf(r.kind), r.name, data, r.key)), true
	}
	return Link{}, false
}

func (l *look) createConfig(namespace string, r configReference) string {
	kind := "configmap"
	if r.kind == "Secret" {
		kind = "secret generic"
	}
	return l.command(namespace, "create %s %s --from-literal=%s=VALUE", kind, r.name, orElse(r.key, "KEY"))
}

// keysOf are the keys of a ConfigMap or Secret.
func (l *look) keysOf(kind, namespace, name string) ([]string, presence) {
	if kind == "Secret" {
		s, found := get(l, "secret", name, l.client.CoreV1().Secrets(namespace))
		if found != present {
			return nil, found
		}
		return slices.Sorted(maps.Keys(s.Data)), present
	}
	m, found := get(l, "configmap", name, l.client.CoreV1().ConfigMaps(namespace))
	if found != present {
		return nil, found
	}
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(m.Data)), slices.Collect(maps.Keys(m.BinaryData))...))), present
}

func (l *look) configNames(kind, namespace string) []string {
	if kind == "Secret" {
		return l.secretNames(namespace)
	}
	all, ok := listOf(l, "configmaps", namespace, l.client.CoreV1().ConfigMaps(namespace))
	if !ok {
		return nil
	}
	return named(all.Items, func(m *v1.ConfigMap) string { return m.Name })
}

func (l *look) secretNames(namespace string) []string {
	all, ok := listOf(l, "secrets", namespace, l.client.CoreV1().Secrets(namespace))
	if !ok {
		return nil
	}
	return named(all.Items, func(s *v1.Secret) string { return s.Name })
}
