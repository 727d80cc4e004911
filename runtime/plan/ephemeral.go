package plan

import "github.com/kube-lite/kube-lite/runtime/pods"

// chooseEphemeral takes the ephemeral containers that never ran, whatever state the
// others are in: they are there to find out. One that wants to see the processes of
// another container waits until that one runs.
func (d *decision) chooseEphemeral() {
	for n := range d.pod.Spec.EphemeralContainers {
		e := &d.pod.Spec.EphemeralContainers[n]
		i, made := d.latest[e.Name]
		if made && (i.Running() || i.Ended()) || !made && pods.WasRemoved(d.pod, e.Name) {
			continue
		}
		if d.Sandbox.ID == "" || !d.Sandbox.Running() {
			continue
		}
		s := Start{Container: pods.AsContainer(e)}
		if e.TargetContainerName != "" {
			target, ok := d.current(e.TargetContainerName)
			if !ok || !target.Running() {
				continue
			}
			s.TargetID = target.ID
		}
		if made && i.SandboxID == d.Sandbox.ID {
			s.CreatedID = i.ID
		}
		d.Start = append(d.Start, s)
	}
}
