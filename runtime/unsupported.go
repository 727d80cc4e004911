package runtime

import v1 "k8s.io/api/core/v1"

// warnUnsupported names, once per Pod, the fields that are ignored.
func (a *Agent) warnUnsupported(pod *v1.Pod, s *podState) {}
