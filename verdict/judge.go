package verdict

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// State is how far an object is.
type State int

// The states of objects.
const (
	Waiting State = iota
	Ready         // as declared
	Failed        // it will never be: a Job or a pod that has ended without success, a deadline of its own that has passed
)

// finding is what was found of one object.
type finding struct {
	State State
	Text  string // "2 of 3 pods ready"
}

func ready(format string, args ...any) finding  { return finding{Ready, fmt.Sprintf(format, args...)} }
func waits(format string, args ...any) finding  { return finding{Waiting, fmt.Sprintf(format, args...)} }
func failed(format string, args ...any) finding { return finding{Failed, fmt.Sprintf(format, args...)} }

// neighbours are what an object is judged by beside itself.
type neighbours struct {
	slices []discoveryv1.EndpointSlice // of a Service
	pods   []corev1.Pod                // of its namespace, for Services and claims
	idle   []labels.Set                // the pods' labels of workloads that are declared to have none
	first  bool                        // a claim's class waits for the first pod that mounts it
}

// judge tells whether an object is as declared. It is a pure function. What libraries know of the kinds is theirs to say
// (https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus); ours is what a test wants to know beyond that.
func judge(o *unstructured.Unstructured, by neighbours) finding {
	if o.GetDeletionTimestamp() != nil {
		return waits("is being deleted")
	}
	switch kind := o.GroupVersionKind().GroupKind(); kind.String() {
	case "Pod":
		return typed(o, judgePod)
	case "Job.batch":
		return typed(o, judgeJob)
	case "Service":
		return typed(o, func(s *corev1.Service) finding { return judgeService(s, by) })
	case "PersistentVolumeClaim":
		return typed(o, func(c *corev1.PersistentVolumeClaim) finding { return judgeClaim(c, by) })
	case "Ingress.networking.k8s.io":
		return judgeIngress(o)
	case "Gateway.gateway.networking.k8s.io":
		return judgeCondition(o.Object, "Programmed")
	case "GatewayClass.gateway.networking.k8s.io":
		return judgeCondition(o.Object, "Accepted")
	default:
		if kind.Group == gatewayGroup && slices.Contains(routeKinds, kind.Kind) {
			return judgeRoute(o)
		}
	}
	return judgeByLibrary(o)
}

// typed has the object as the type of its kind.
func typed[T any](o *unstructured.Unstructured, judge func(*T) finding) finding {
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into); err != nil {
		return waits("cannot be read: %v", err)
	}
	return judge(into)
}

// judgeByLibrary leaves it to kstatus: workloads, definitions, and any kind by its generation and its condition Ready.
func judgeByLibrary(o *unstructured.Unstructured) finding {
	result, err := status.Compute(o)
	if err != nil {
		return waits("its status cannot be read: %v", err)
	}
	switch result.Status {
	case status.CurrentStatus:
		return ready("%s", podsText(o))
	case status.FailedStatus:
		return failed("%s", result.Message)
	}
	return waits("%s", result.Message)
}

// podsText is what a workload has, in its own words.
func podsText(o *unstructured.Unstructured) string {
	count := func(path ...string) int64 { n, _, _ := unstructured.NestedInt64(o.Object, path...); return n }
	switch o.GroupVersionKind().GroupKind().String() {
	case "Deployment.apps", "StatefulSet.apps", "ReplicaSet.apps":
		return fmt.Sprintf("%d of %d pods ready", count("status", "readyReplicas"), count("spec", "replicas"))
	case "DaemonSet.apps":
		return fmt.Sprintf("%d of %d pods ready", count("status", "numberReady"), count("status", "desiredNumberScheduled"))
	}
	return "is there"
}

// judgePod is of a pod that somebody declared as such: nothing makes another one in its place.
func judgePod(p *corev1.Pod) finding {
	switch {
	case p.Status.Phase == corev1.PodSucceeded:
		return ready("has succeeded")
	case p.Status.Phase == corev1.PodFailed:
		return failed("has failed")
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ready("is ready")
		}
	}
	return waits("is not ready")
}

func judgeJob(j *batchv1.Job) finding {
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return ready("is complete")
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			return failed("has failed, %s: %s", c.Reason, c.Message)
		}
	}
	if j.Spec.Suspend != nil && *j.Spec.Suspend {
		return ready("is suspended, as declared")
	}
	return waits("is not complete: %d active, %d failed", j.Status.Active, j.Status.Failed)
}

// judgeService asks for an endpoint that is ready, if the Service has a selector.
func judgeService(s *corev1.Service, by neighbours) finding {
	if len(s.Spec.Selector) == 0 {
		return ready("is there; its endpoints are not made from pods")
	}
	endpoints := 0
	for _, slice := range by.slices {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				endpoints++
			}
		}
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	if endpoints == 0 && slices.ContainsFunc(by.idle, func(l labels.Set) bool { return selector.Matches(l) }) {
		return ready("has no endpoints, since its workload is declared to have no pods")
	}
	if endpoints == 0 {
		return waits("has no endpoint that is ready")
	}
	return ready("%s ready", number(endpoints, "endpoint"))
}

// judgeClaim does not wait for a volume that is made for the first pod while no pod wants it.
func judgeClaim(c *corev1.PersistentVolumeClaim, by neighbours) finding {
	switch {
	case c.Status.Phase == corev1.ClaimBound:
		return ready("is bound")
	case c.Status.Phase == corev1.ClaimLost:
		return failed("has lost its volume")
	case by.first && !slices.ContainsFunc(by.pods, func(p corev1.Pod) bool { return mounts(&p, c.Name) }):
		return ready("is not bound until a pod mounts it, and none does")
	}
	return waits("is not bound")
}

func mounts(p *corev1.Pod, claim string) bool {
	return slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}

func judgeIngress(o *unstructured.Unstructured) finding {
	at, _, _ := unstructured.NestedSlice(o.Object, "status", "loadBalancer", "ingress")
	if len(at) == 0 {
		return waits("no controller has given it an address")
	}
	return ready("is served")
}

// number is "1 endpoint", "3 endpoints".
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
