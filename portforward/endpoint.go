package portforward

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// Endpoint finds an endpoint that is ready, with its number of a Service's port. pod is empty if it is none, ip if there is none at all.
func Endpoint(all []discoveryv1.EndpointSlice, port string) (pod, ip string, number int32) {
	for _, slice := range all {
		n := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == port && p.Port != nil })
		if n < 0 {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || len(e.Addresses) == 0 {
				continue
			}
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				pod = e.TargetRef.Name
			}
			return pod, e.Addresses[0], *slice.Ports[n].Port
		}
	}
	return "", "", 0
}
