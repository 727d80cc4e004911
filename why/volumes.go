package why

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// volumes explains a Pod none of whose containers has been started: what its volumes refer to, and what its node agent said
// of mounting them.
func (l *look) volumes(pod *v1.Pod) links {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil || s.RestartCount > 0 {
			return nil
		}
	}
	if found := l.claims(pod); !found.well() {
		return found
	}
	failed := l.events(pod.Namespace, pod.UID, "FailedMount", "FailedAttachVolume", "FailedMapVolume")
	for _, v := range pod.Spec.Volumes {
		if found, ok := l.volumeSources(pod, v); ok {
			return links{found.seen(l.eventLines(1, failed)...)}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	name, words := mountWords(failed[0].Message)
	what := "a volume"
	if name != "" {
		what = "its volume " + quote(name)
	}
	return links{broken(podObject(pod), "%s cannot be mounted: %s", what, words).seen(l.eventLine(failed[0])).
		mended(l.edited(pod, "correct spec.volumes"))}
}

var mountFailed = regexp.MustCompile(`failed for volume "([^"]+)"\s*:\s*(.*)$`)

// mountWords takes the volume's name and the cause out of an event.
func mountWords(message string) (volume, cause string) {
	if m := mountFailed.FindStringSubmatch(strings.ReplaceAll(message, "\n", " ")); m != nil {
		return m[1], strings.TrimSpace(m[2])
	}
	return "", firstLine(message)
}

// volumeSources looks up the ConfigMaps and Secrets that a volume shows.
func (l *look) volumeSources(pod *v1.Pod, v v1.Volume) (Link, bool) {
	use := "volume " + v.Name
	switch {
	case v.ConfigMap != nil:
		return l.checkItems(pod, configReference{"ConfigMap", v.ConfigMap.Name, "", use, deref(v.ConfigMap.Optional)}, v.ConfigMap.Items)
	case v.Secret != nil:
		return l.checkItems(pod, configReference{"Secret", v.Secret.SecretName, "", use, deref(v.Secret.Optional)}, v.Secret.Items)
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			var found Link
			var ok bool
			if m := source.ConfigMap; m != nil {
				found, ok = l.checkItems(pod, configReference{"ConfigMap", m.Name, "", use, deref(m.Optional)}, m.Items)
			}
			if s := source.Secret; s != nil {
				found, ok = l.checkItems(pod, configReference{"Secret", s.Name, "", use, deref(s.Optional)}, s.Items)
			}
			if ok {
				return found, true
			}
		}
	}
	return Link{}, false
}

func (l *look) checkItems(pod *v1.Pod, r configReference, items []v1.KeyToPath) (Link, bool) {
	if found, ok := l.checkReference(pod, r); ok {
		return found, true
	}
	for _, item := range items {
		r.key = item.Key
		if found, ok := l.checkReference(pod, r); ok {
			return found, true
		}
	}
	return Link{}, false
}

// claims follows the first PersistentVolumeClaim of a Pod that is not bound.
func (l *look) claims(pod *v1.Pod) links {
	for _, v := range pod.Spec.Volumes {
		name := ""
		switch {
		case v.PersistentVolumeClaim != nil:
			name = v.PersistentVolumeClaim.ClaimName
		case v.Ephemeral != nil:
			name = pod.Name + "-" + v.Name
		default:
			continue
		}
		claim, found := get(l, "persistentvolumeclaim", name, l.client.CoreV1().PersistentVolumeClaims(pod.Namespace))
		if found == missing {
			var names []string
			if all, ok := listOf(l, "persistentvolumeclaims", pod.Namespace, l.client.CoreV1().PersistentVolumeClaims(pod.Namespace)); ok {
				names = named(all.Items, func(c *v1.PersistentVolumeClaim) string { return c.Name })
			}
			out := broken(podObject(pod), "volume %s needs the PersistentVolumeClaim %s, which does not exist%s", v.Name, quote(name), orNearest(name, names)).
				seen(fmt.Sprintf("claims in namespace %s: %s", pod.Namespace, list(names)))
			if near := nearest(name, names); near != "" {
				return links{out.mended(l.edited(pod, "name the claim "+near+" there"))}
			}
			return links{out.mended(note(l.command(pod.Namespace, "apply -f FILE"), "a PersistentVolumeClaim of that name"))}
		}
		if found != present {
			continue
		}
		if state := l.claim(claim); !state.well() {
			return append(links{waiting(podObject(pod), "its volume %s needs a claim that is not bound", v.Name)}, state...)
		}
	}
	return nil
}
