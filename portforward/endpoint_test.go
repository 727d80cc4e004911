package portforward

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// Of a Service whose address leads nowhere from here an endpoint that is ready is chosen, by the port's name.
func TestEndpoint(t *testing.T) {
	slices := []discoveryv1.EndpointSlice{{
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(8080))}, {Name: ptr.To("admin"), Port: ptr.To(int32(9000))}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
			{Addresses: []string{"10.0.0.2"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web-2"}},
		},
	}}
	if pod, ip, port := Endpoint(slices, "admin"); pod != "web-2" || ip != "10.0.0.2" || port != 9000 {
		t.Errorf("it is pod %s, %s, port %d", pod, ip, port)
	}
	if _, ip, _ := Endpoint(slices, "grpc"); ip != "" {
		t.Errorf("a port that is not there leads to %s", ip)
	}
}
