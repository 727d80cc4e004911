package apiserver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	schedulingapiv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	"k8s.io/utils/ptr"
)

// systemNamespaces exist in every cluster.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#initial-namespaces
var systemNamespaces = []string{
	metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease,
}

// dnsHost is the place of kube-system/kube-dns in the service CIDR, as kubeadm
// and most clusters have it.
const dnsHost = 10

// Endpoints say where the Services of the first moment lead.
type Endpoints struct {
	// API is an address of the API server that pods reach.
	API netip.AddrPort
	// DNS is an address of the DNS server that pods reach, UDP and TCP.
	DNS netip.AddrPort
	// OtherDNS is its address of the other IP family; only with OtherServiceCIDR.
	OtherDNS netip.AddrPort
}

// KubernetesIP is the ClusterIP of default/kubernetes: the first of cidr.
func KubernetesIP(cidr netip.Prefix) netip.Addr { return nth(cidr, 1) }

// DNSIP is the ClusterIP of kube-system/kube-dns: the tenth of cidr.
func DNSIP(cidr netip.Prefix) netip.Addr { return nth(cidr, dnsHost) }

func nth(cidr netip.Prefix, n int) netip.Addr {
	addr := cidr.Masked().Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}

// Bootstrap creates the objects that every cluster has, and leads their
// Services to where the API and the DNS server listen this time. What exists
// stays as it is, but for the default roles and bindings.
func (s *Server) Bootstrap(ctx context.Context, to Endpoints) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.ensurePolicy(ctx) })
	group.Go(func() error { return s.bootstrapObjects(ctx, to) })
	group.Go(func() error {
		_, err := s.aggregation.services.register(ctx, s.ownGroups(), s.aggregation.serves) // run brings the late ones
		return err
	})
	return group.Wait()
}

func (s *Server) bootstrapObjects(ctx context.Context, to Endpoints) error {
	for _, name := range systemNamespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := s.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("bootstrap: create namespace %s: %w", name, err)
		}
	}
	for _, class := range schedulingapiv1.SystemPriorityClasses() {
		_, err := s.client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("bootstrap: create PriorityClass %s: %w", class.Name, err)
		}
	}
	objects, ctx := errgroup.WithContext(ctx) // the user waits, and what is written at once shares its fsync
	objects.Go(func() error { return s.bootstrapService(ctx, kubernetesService(s.cfg.ServiceCIDR, to.API), to.API) })
	objects.Go(func() error {
		if !to.OtherDNS.IsValid() {
			return s.bootstrapService(ctx, dnsService(s.cfg.serviceCIDRs()[:1], to.DNS), to.DNS)
		}
		return s.bootstrapService(ctx, dnsService(s.cfg.serviceCIDRs(), to.DNS), to.DNS, to.OtherDNS)
	})
	objects.Go(func() error {
		if err := s.bootstrapAuthentication(ctx); err != nil {
			return fmt.Errorf("bootstrap: ConfigMap %s: %w", authenticationMap, err)
		}
		return nil
	})
	return objects.Wait()
}

func kubernetesService(cidr netip.Prefix, to netip.AddrPort) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "kubernetes",
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: KubernetesIP(cidr).String(),
			Ports: []corev1.ServicePort{
				{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(int32(to.Port()))},
			},
		},
	}
}

// dnsService has the labels by which tools find a cluster's DNS.
func dnsService(cidrs []netip.Prefix, to netip.AddrPort) *corev1.Service {
	target := intstr.FromInt32(int32(to.Port()))
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: "kube-dns",
			Labels: map[string]string{
				"k8s-app": "kube-dns", "kubernetes.io/name": "DNS", "kubernetes.io/cluster-service": "true",
			},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: DNSIP(cidrs[0]).String(),
			Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: target},
				{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP, TargetPort: target},
			},
		},
	}
	if len(cidrs) > 1 {
		svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP, DNSIP(cidrs[1]).String()}
	}
	return svc
}

// bootstrapService creates svc, or adjusts its ports, and its one
// EndpointSlice for each address and Endpoints: it has no selector, so no controller does.
func (s *Server) bootstrapService(ctx context.Context, svc *corev1.Service, addresses ...netip.AddrPort) error {
	services := s.client.CoreV1().Services(svc.Namespace)
	have, err := services.Get(ctx, svc.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = services.Create(ctx, svc, metav1.CreateOptions{})
	case err == nil && !equality.Semantic.DeepEqual(have.Spec.Ports, svc.Spec.Ports):
		have.Spec.Ports = svc.Spec.Ports
		_, err = services.Update(ctx, have, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("bootstrap: Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	for i, to := range addresses {
		name := svc.Name
		if i > 0 {
			name += "-" + strings.ToLower(string(addressType(to.Addr())))
		}
		if err := s.bootstrapSlice(ctx, svc, name, to); err != nil {
			return fmt.Errorf("bootstrap: EndpointSlice %s/%s: %w", svc.Namespace, name, err)
		}
	}
	if err := s.bootstrapEndpoints(ctx, svc, addresses[0]); err != nil {
		return fmt.Errorf("bootstrap: Endpoints %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	return nil
}

func addressType(a netip.Addr) discoveryv1.AddressType {
	if a.Is6() {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}

func (s *Server) bootstrapSlice(ctx context.Context, svc *corev1.Service, name string, to netip.AddrPort) error {
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: svc.Namespace, Name: name,
			Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name},
		},
		AddressType: addressType(to.Addr()),
		Endpoints: []discoveryv1.Endpoint{{
			Addresses:  []string{to.Addr().String()},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
	}
	for _, p := range svc.Spec.Ports {
		want.Ports = append(want.Ports, discoveryv1.EndpointPort{
			Name: ptr.To(p.Name), Port: ptr.To(int32(to.Port())), Protocol: ptr.To(p.Protocol),
		})
	}
	slices := s.client.DiscoveryV1().EndpointSlices(svc.Namespace)
	have, err := slices.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = slices.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	if equality.Semantic.DeepEqual(have.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(have.Ports, want.Ports) {
		return nil
	}
	have.Endpoints, have.Ports = want.Endpoints, want.Ports
	_, err = slices.Update(ctx, have, metav1.UpdateOptions{})
	return err
}
