package why

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// owner is the object in which a Pod is changed.
type owner struct {
	resource string // "deployment/web"
	podSpec  string // where the Pod's spec is in it, as a JSON pointer
	fixed    bool   // nothing but the image can be changed there
}

// ownerOf finds what made a Pod, through a ReplicaSet to its Deployment and through a Job to its CronJob.
func (l *look) ownerOf(pod *v1.Pod) owner {
	const template = "/spec/template/spec"
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		return owner{"pod/" + pod.Name, "/spec", true}
	}
	switch ref.Kind {
	case "ReplicaSet":
		set, found := get(l, "replicaset", ref.Name, l.client.AppsV1().ReplicaSets(pod.Namespace))
		if found == present {
			if up := metav1.GetControllerOf(set); up != nil && up.Kind == "Deployment" {
				return owner{"deployment/" + up.Name, template, false}
			}
		}
	case "Job":
		job, found := get(l, "job", ref.Name, l.client.BatchV1().Jobs(pod.Namespace))
		if found == present {
			if up := metav1.GetControllerOf(job); up != nil && up.Kind == "CronJob" {
				return owner{"cronjob/" + up.Name, "/spec/jobTemplate/spec/template/spec", false}
			}
		}
		return owner{"job/" + ref.Name, template, true}
	}
	return owner{resourceOf(ref.Kind) + "/" + ref.Name, template, false}
}

// replaced is a command that changes one field of a Pod's spec, at a JSON pointer below it, where it is declared.
func (l *look) replaced(pod *v1.Pod, pointer string, value any) string {
	o := l.ownerOf(pod)
	if o.fixed {
		return l.edited(pod, fmt.Sprintf("set %s to %v", strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", "."), value))
	}
	if s, ok := value.(string); ok {
		value = quote(s)
	}
	return l.command(pod.Namespace, `patch %s --type=json -p '[{"op":"replace","path":"%s%s","value":%v}]'`, o.resource, o.podSpec, pointer, value)
}

// edited is a command for a change that a person has to make.
func (l *look) edited(pod *v1.Pod, what string) string {
	o := l.ownerOf(pod)
	if o.fixed {
		return note(l.command(pod.Namespace, "replace --force -f FILE"), "first "+what+", in the file of "+o.resource)
	}
	return note(l.command(pod.Namespace, "edit %s", o.resource), what)
}

// containerPointer is where a container is in the Pod's spec.
func containerPointer(pod *v1.Pod, name string) string {
	byName := func(c v1.Container) bool { return c.Name == name }
	if n := slices.IndexFunc(pod.Spec.Containers, byName); n >= 0 {
		return fmt.Sprintf("/containers/%d", n)
	}
	return fmt.Sprintf("/initContainers/%d", slices.IndexFunc(pod.Spec.InitContainers, byName))
}
