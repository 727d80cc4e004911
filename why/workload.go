package why

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// revisionAnnotation numbers the ReplicaSets of a Deployment.
const revisionAnnotation = "deployment.kubernetes.io/revision"

func (l *look) deployment(d *appsv1.Deployment) links {
	at := Object{"Deployment", d.Namespace, d.Name}
	want := ptr.Deref(d.Spec.Replicas, 1)
	if d.DeletionTimestamp != nil {
		return links{l.ending(at, d)}
	}
	if d.Status.ObservedGeneration < d.Generation {
		return links{waiting(at, "was changed, and its controller has not looked at the change yet")}
	}
	if d.Spec.Paused && d.Status.UpdatedReplicas < want {
		return links{broken(at, "its rollout is paused, so %d of %d pods have what is declared now", d.Status.UpdatedReplicas, want).
			seen("spec.paused: true").mended(l.command(d.Namespace, "rollout resume deployment/%s", d.Name))}
	}
	if want == 0 {
		return links{well(at, "is scaled to 0, so it has no pods").mended(l.command(d.Namespace, "scale deployment/%s --replicas=1", d.Name))}
	}
	first := well(at, "%s", ratio(d.Status.ReadyReplicas, want))
	if d.Status.ReadyReplicas >= want && d.Status.UpdatedReplicas < want {
		first.Sentence = fmt.Sprintf("%s, but only %d of the version that is declared now", ratio(d.Status.ReadyReplicas, want), d.Status.UpdatedReplicas)
	}
	set := l.newestSet(d)
	if set == nil {
		first.State = Waiting
		return append(links{first}, l.refusals(at, d, "FailedCreate", "ReplicaSetCreateError")...)
	}
	below := l.replicaSet(set)
	if below.well() && d.Status.Replicas > d.Status.UpdatedReplicas {
		below = links{waiting(at, "%s of an older version %s still being removed", count(d.Status.Replicas-d.Status.UpdatedReplicas, "pod"), isAre(d.Status.Replicas-d.Status.UpdatedReplicas))}
	}
	return led(first, below)
}

// newestSet is the ReplicaSet of what the Deployment declares now.
func (l *look) newestSet(d *appsv1.Deployment) *appsv1.ReplicaSet {
	all, ok := listOf(l, "replicasets", d.Namespace, l.client.AppsV1().ReplicaSets(d.Namespace))
	if !ok {
		return nil
	}
	var sets []*appsv1.ReplicaSet
	for n := range all.Items {
		if metav1.IsControlledBy(&all.Items[n], d) {
			sets = append(sets, &all.Items[n])
		}
	}
	if len(sets) == 0 {
		return nil
	}
	return slices.MaxFunc(sets, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(revision(a), revision(b)) })
}

func revision(s *appsv1.ReplicaSet) int {
	n, _ := strconv.Atoi(s.Annotations[revisionAnnotation]) // 0 if somebody else made it
	return n
}

func (l *look) replicaSet(s *appsv1.ReplicaSet) links {
	at := Object{"ReplicaSet", s.Namespace, s.Name}
	return l.replicas(at, s, ptr.Deref(s.Spec.Replicas, 1), s.Status.ReadyReplicas, s.Status.ObservedGeneration)
}

func (l *look) replicationController(c *v1.ReplicationController) links {
	at := Object{"ReplicationController", c.Namespace, c.Name}
	return l.replicas(at, c, ptr.Deref(c.Spec.Replicas, 1), c.Status.ReadyReplicas, c.Status.ObservedGeneration)
}

func (l *look) statefulSet(s *appsv1.StatefulSet) links {
	at := Object{"StatefulSet", s.Namespace, s.Name}
	found := l.replicas(at, s, ptr.Deref(s.Spec.Replicas, 1), s.Status.ReadyReplicas, s.Status.ObservedGeneration)
	if found.well() && s.Status.UpdatedReplicas < s.Status.Replicas && s.Status.UpdateRevision != s.Status.CurrentRevision {
		if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
			return links{broken(at, "%d of %d pods have what is declared now: with the update strategy OnDelete a pod keeps the older version until it is deleted",
				s.Status.UpdatedReplicas, s.Status.Replicas).seen("spec.updateStrategy.type: OnDelete").
				mended(l.command(s.Namespace, "delete pod %s-%d", s.Name, s.Status.Replicas-1))}
		}
		return links{waiting(at, "%d of %d pods have what is declared now; the others are being replaced", s.Status.UpdatedReplicas, s.Status.Replicas)}
	}
	return found
}

// replicas explains what keeps a number of pods.
func (l *look) replicas(at Object, o metav1.Object, want, ready int32, observed int64) links {
	if o.GetDeletionTimestamp() != nil {
		return links{l.ending(at, o)}
	}
	if observed < o.GetGeneration() {
		return links{waiting(at, "was changed, and its controller has not looked at the change yet")}
	}
	if want == 0 {
		return links{well(at, "is scaled to 0, so it has no pods").mended(l.command(at.Namespace, "scale %s/%s --replicas=1", resourceOf(at.Kind), at.Name))}
	}
	pods := l.podsOf(at.Namespace, o.GetUID())
	if at.Kind == "StatefulSet" && len(pods) < int(want) && ready < int32(len(pods)) {
		// It makes one after the other: what keeps the next from being made is the one before.
		return led(waiting(at, "%s; each pod waits until the one before it is ready", ratio(ready, want)), l.worstPod(pods))
	}
	if len(pods) < int(want) {
		first := waiting(at, "has %d of %s that it should have", len(pods), count(want, "pod"))
		if len(pods) == int(want)-1 && want == 1 {
			first = waiting(at, "has no pod, and should have 1")
		}
		if refused := l.refusals(at, o, "FailedCreate"); len(refused) > 0 {
			return append(links{first}, refused...)
		}
		return led(first, l.worstPod(pods))
	}
	return led(well(at, "%s", ratio(ready, want)), l.worstPod(pods))
}

// worstPod follows the pod that explains most. Those that are well in everything but being new say nothing.
func (l *look) worstPod(pods []*v1.Pod) links {
	var parts []links
	for _, p := range pods {
		found := l.pod(p)
		if found.state() == Broken {
			return found
		}
		parts = append(parts, found)
	}
	return worst(parts)
}

func (l *look) daemonSet(s *appsv1.DaemonSet) links {
	at := Object{"DaemonSet", s.Namespace, s.Name}
	if s.DeletionTimestamp != nil {
		return links{l.ending(at, s)}
	}
	if s.Status.ObservedGeneration < s.Generation {
		return links{waiting(at, "was changed, and its controller has not looked at the change yet")}
	}
	if s.Status.DesiredNumberScheduled == 0 {
		probe := &v1.Pod{ObjectMeta: s.Spec.Template.ObjectMeta, Spec: s.Spec.Template.Spec}
		probe.Namespace, probe.Name = s.Namespace, s.Name
		reason := l.nodesRefuse(probe)
		return links{broken(at, "no node is to run it: %s", reason.Sentence).seen(reason.Evidence...).mended(reason.Mend)}
	}
	first := well(at, "%s", ratio(s.Status.NumberReady, s.Status.DesiredNumberScheduled))
	pods := l.podsOf(s.Namespace, s.UID)
	if len(pods) < int(s.Status.DesiredNumberScheduled) {
		if refused := l.refusals(at, s, "FailedCreate"); len(refused) > 0 {
			first.State = Waiting
			return append(links{first}, refused...)
		}
	}
	return led(first, l.worstPod(pods))
}
