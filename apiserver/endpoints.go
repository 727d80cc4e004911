//lint:file-ignore SA1019 Endpoints are deprecated for clients; serving those that still read them is what this file is for.

package apiserver

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bootstrapEndpoints is bootstrapSlice for clients that still read Endpoints.
func (s *Server) bootstrapEndpoints(ctx context.Context, svc *corev1.Service, to netip.AddrPort) error {
	subset := corev1.EndpointSubset{Addresses: []corev1.EndpointAddress{{IP: to.Addr().String()}}}
	for _, p := range svc.Spec.Ports {
		subset.Ports = append(subset.Ports, corev1.EndpointPort{Name: p.Name, Port: int32(to.Port()), Protocol: p.Protocol})
	}
	want := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: svc.Namespace, Name: svc.Name,
			Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"},
		},
		Subsets: []corev1.EndpointSubset{subset},
	}
	endpoints := s.client.CoreV1().Endpoints(svc.Namespace)
	have, err := endpoints.Get(ctx, svc.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = endpoints.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if err != nil || equality.Semantic.DeepEqual(have.Subsets, want.Subsets) {
		return err
	}
	have.Subsets = want.Subsets
	_, err = endpoints.Update(ctx, have, metav1.UpdateOptions{})
	return err
}
