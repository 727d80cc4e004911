package runtime

import (
	v1 "k8s.io/api/core/v1"
)

// asContainer is an ephemeral container as the ordinary one that it nearly is: it has no
// ports, probes, hooks or resources of its own, and is never restarted.
// https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
func asContainer(e *v1.EphemeralContainer) *v1.Container {
	return (*v1.Container)(&e.EphemeralContainerCommon)
}

// ephemerals are a Pod's ephemeral containers as ordinary ones.
func ephemerals(pod *v1.Pod) (out []v1.Container) {
	for n := range pod.Spec.EphemeralContainers {
		out = append(out, *asContainer(&pod.Spec.EphemeralContainers[n]))
	}
	return out
}

// ephemeral finds an ephemeral container's declaration.
func ephemeral(pod *v1.Pod, name string) *v1.EphemeralContainer {
	for n := range pod.Spec.EphemeralContainers {
		if e := &pod.Spec.EphemeralContainers[n]; e.Name == name {
			return e
		}
	}
	return nil
}

// chooseEphemeral takes the ephemeral containers that never ran, whatever state the
// others are in: they are there to find out. One that wants to see the processes of
// another container waits until that one runs.
func (d *decision) chooseEphemeral() {
	for n := range d.pod.Spec.EphemeralContainers {
		e := &d.pod.Spec.EphemeralContainers[n]
		i, made := d.latest[e.Name]
		if made && (i.Running() || ended(i)) || !made && vanished(d.pod, e.Name) {
			continue
		}
		if d.sandbox.ID == "" || !d.sandbox.Running() {
			continue
		}
		s := starting{container: asContainer(e)}
		if e.TargetContainerName != "" {
			target, ok := d.current(e.TargetContainerName)
			if !ok || !target.Running() {
				continue
			}
			s.targetID = target.ID
		}
		if made && i.sandboxID == d.sandbox.ID {
			s.createdID = i.ID
		}
		d.start = append(d.start, s)
	}
}
