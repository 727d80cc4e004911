package status

import v1 "k8s.io/api/core/v1"

// mountStatuses are a container's volume mounts as its status tells them. How deep a
// read-only one reaches is told where the declaration decides; with IfPossible the engine
// does, and nothing is said.
func mountStatuses(c *v1.Container) (out []v1.VolumeMountStatus) {
	for _, m := range c.VolumeMounts {
		s := v1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if mode := m.RecursiveReadOnly; m.ReadOnly && (mode == nil || *mode != v1.RecursiveReadOnlyIfPossible) {
			depth := v1.RecursiveReadOnlyDisabled
			if mode != nil {
				depth = *mode
			}
			s.RecursiveReadOnly = &depth
		}
		out = append(out, s)
	}
	return out
}
