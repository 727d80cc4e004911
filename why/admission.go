package why

import (
	"fmt"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// refusals explains why the API takes no Pod of a workload: what its controller said last.
func (l *look) refusals(at Object, o metav1.Object, reasons ...string) links {
	message, evidence := "", ""
	if events := l.events(at.Namespace, o.GetUID(), reasons...); len(events) > 0 {
		message, evidence = events[0].Message, l.eventLine(events[0])
	}
	if set, ok := o.(*appsv1.ReplicaSet); ok && message == "" { // events are forgotten after an hour, conditions are not
		for _, c := range set.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == v1.ConditionTrue {
				message, evidence = c.Message, "condition ReplicaFailure: "+c.Message
			}
		}
	}
	if message == "" {
		return nil
	}
	return links{l.refusal(at, topOf(at, o), message).seen(evidence).caused(Refused)}
}

// topOf is the object in which the template of a workload's pods is changed, as commands name it.
func topOf(at Object, o metav1.Object) string {
	if up := metav1.GetControllerOf(o); up != nil && up.Kind == "Deployment" {
		return "deployment/" + up.Name
	}
	return resourceOf(at.Kind) + "/" + at.Name
}

// What the admission plugins of an API server say.
var (
	quotaExceeded  = regexp.MustCompile(`exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (?:[^,=]+=)?(.+)$`)
	quotaUnstated  = regexp.MustCompile(`failed quota: ([^:]+): must specify (.+)$`)
	limitRange     = regexp.MustCompile(`forbidden: \[?((?:maximum|minimum|.* max limit to request ratio) .+?)\]?$`)
	podSecurity    = regexp.MustCompile(`violates PodSecurity "([^"]+)": (.+)$`)
	noAccount      = regexp.MustCompile(`error looking up service account [^/]+/([^:]+):`)
	noPriority     = regexp.MustCompile(`no PriorityClass with name (\S+) was found`)
	noRuntimeClass = regexp.MustCompile(`RuntimeClass "([^"]+)" not found`)
	webhookDenied  = regexp.MustCompile(`admission webhook "([^"]+)" denied the request: ?(.*)$`)
	webhookFailed  = regexp.MustCompile(`failed calling webhook "([^"]+)": (.*)$`)
)

// refusal puts into words why a Pod was not admitted.
func (l *look) refusal(at Object, top, message string) Link {
	message = firstLine(message)
	ns := at.Namespace
	if m := quotaExceeded.FindStringSubmatch(message); m != nil {
		return broken(at, "the quota %s of its namespace is used up: one more pod asks for %s, and %s of %s are taken", m[1], m[2], m[3], m[4]).
			mended(l.command(ns, "edit resourcequota %s", m[1]))
	}
	if m := quotaUnstated.FindStringSubmatch(message); m != nil {
		return broken(at, "the quota %s of its namespace lets only pods in that say how much they need; this one does not say %s", m[1], m[2]).
			mended(l.command(ns, "set resources %s --requests=cpu=100m,memory=64Mi --limits=cpu=500m,memory=256Mi", top))
	}
	if m := podSecurity.FindStringSubmatch(message); m != nil {
		return broken(at, "its namespace lets only pods in that keep to the Pod Security Standard %s, and this one does not: %s", m[1], m[2]).
			mended(note(l.command("", "label namespace %s pod-security.kubernetes.io/enforce=baseline --overwrite", ns), "or set what is missing in the pod's securityContext"))
	}
	if m := noAccount.FindStringSubmatch(message); m != nil {
		text := ""
		if all, ok := listOf(l, "serviceaccounts", ns, l.client.CoreV1().ServiceAccounts(ns)); ok {
			text = orNearest(m[1], named(all.Items, func(a *v1.ServiceAccount) string { return a.Name }))
		}
		return broken(at, "its pods are to run as the ServiceAccount %s, which does not exist%s", quote(m[1]), text).
			mended(l.command(ns, "create serviceaccount %s", m[1]))
	}
	if m := noPriority.FindStringSubmatch(message); m != nil {
		return broken(at, "its pods have the PriorityClass %s, which does not exist", quote(m[1])).
			mended(l.command("", "create priorityclass %s --value=1000", m[1]))
	}
	if m := noRuntimeClass.FindStringSubmatch(message); m != nil {
		return broken(at, "its pods have the RuntimeClass %s, which does not exist", quote(m[1])).
			mended(note(l.command("", "get runtimeclasses"), "and name one of these"))
	}
	if m := webhookDenied.FindStringSubmatch(message); m != nil {
		return broken(at, "the admission webhook %s refuses its pods: %s", m[1], m[2])
	}
	if m := webhookFailed.FindStringSubmatch(message); m != nil {
		return broken(at, "its pods have to be admitted by the webhook %s, which cannot be asked: %s", m[1], m[2]).
			mended(note(l.command("", "get validatingwebhookconfigurations,mutatingwebhookconfigurations"), "and see to the Service that the webhook names"))
	}
	if m := limitRange.FindStringSubmatch(message); m != nil {
		return broken(at, "a LimitRange of its namespace does not let its pods in: %s", m[1]).
			mended(l.command(ns, "describe limitrange"))
	}
	return broken(at, "its pods are refused: %s", strings.TrimPrefix(message, "Error creating: "))
}

// refusedPod explains a Pod that its node turned away after it was scheduled.
func (l *look) refusedPod(pod *v1.Pod) Link {
	at := podObject(pod)
	return broken(at, "its node %s did not take it: %s", pod.Spec.NodeName, firstLine(pod.Status.Message)).
		seen(fmt.Sprintf("status.reason: %s", pod.Status.Reason)).
		mended(l.command(pod.Namespace, "delete pod %s", pod.Name))
}
