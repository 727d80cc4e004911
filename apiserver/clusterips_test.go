package apiserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func createService(t *testing.T, client kubernetes.Interface, name, ip string) (*corev1.Service, error) {
	t.Helper()
	return client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
}

func addRange(t *testing.T, client kubernetes.Interface, name, cidr string) {
	t.Helper()
	_, err := client.NetworkingV1().ServiceCIDRs().Create(t.Context(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClusterIPsAreIPAddressesOfServiceCIDRs(t *testing.T) {
	t.Parallel()
	client := serve(t, t.TempDir()).admin(t)
	cidr, err := client.NetworkingV1().ServiceCIDRs().Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cidr.Spec.CIDRs, []string{testCIDR.String()}) || !meta.IsStatusConditionTrue(cidr.Status.Conditions, networkingv1.ServiceCIDRConditionReady) {
		t.Errorf("ServiceCIDR kubernetes is of %v, conditions %v", cidr.Spec.CIDRs, cidr.Status.Conditions)
	}
	svc, err := createService(t, client, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	addresses := client.NetworkingV1().IPAddresses()
	for ip, parent := range map[string]string{"10.96.0.1": "default/kubernetes", "10.96.0.10": "kube-system/kube-dns", svc.Spec.ClusterIP: "default/a"} {
		address, err := addresses.Get(t.Context(), ip, metav1.GetOptions{})
		if err != nil {
			t.Errorf("the ClusterIP of %s: %v", parent, err)
			continue
		}
		if ref := address.Spec.ParentRef; ref.Resource != "services" || ref.Namespace+"/"+ref.Name != parent {
			t.Errorf("IPAddress %s is of %+v, want %s", ip, ref, parent)
		}
	}
	if err := client.CoreV1().Services("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := addresses.Get(t.Context(), svc.Spec.ClusterIP, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("IPAddress %s after its Service: %v, want none", svc.Spec.ClusterIP, err)
	}
}

func TestASecondServiceCIDRIsAllocatedFrom(t *testing.T) {
	t.Parallel()
	client := serve(t, t.TempDir()).admin(t)
	if _, err := createService(t, client, "outside", "10.200.0.7"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "10.200.0.7") {
		t.Fatalf("a ClusterIP of no range: %v, want Invalid", err)
	}
	addRange(t, client, "more", "10.200.0.0/24")
	within(t, func() error { _, err := createService(t, client, "inside", "10.200.0.7"); return err })
	if err := client.NetworkingV1().ServiceCIDRs().Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	cidr, err := client.NetworkingV1().ServiceCIDRs().Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || cidr.DeletionTimestamp == nil {
		t.Fatalf("the ServiceCIDR whose addresses are in use: %v, want it to stay until they are not", err)
	}
	within(t, func() error {
		svc, err := createService(t, client, "next", "")
		if err == nil && !netip.MustParsePrefix("10.200.0.0/24").Contains(netip.MustParseAddr(svc.Spec.ClusterIP)) {
			err = client.CoreV1().Services("default").Delete(t.Context(), "next", metav1.DeleteOptions{})
			return fmt.Errorf("a new Service has %s, want one of the range that stays; %v", svc.Spec.ClusterIP, err)
		}
		return err
	})
}

// Stores of before there were IPAddresses have none; and a server that is killed between an IPAddress and its Service
// leaves one too many.
func TestIPAddressesAreRepairedAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := serve(t, dir)
	client := first.admin(t)
	svc, err := createService(t, client, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	addresses := client.NetworkingV1().IPAddresses()
	taken, err := addresses.Get(t.Context(), svc.Spec.ClusterIP, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := addresses.Delete(t.Context(), taken.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	orphan := &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.96.7.7", Labels: taken.Labels}, Spec: taken.Spec}
	if _, err := addresses.Create(t.Context(), orphan, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first.stop()
	addresses = serve(t, dir).admin(t).NetworkingV1().IPAddresses()
	if again, err := addresses.Get(t.Context(), taken.Name, metav1.GetOptions{}); err != nil || again.Spec.ParentRef.Name != "a" {
		t.Errorf("the IPAddress of a Service that had lost it: %v", err)
	}
	if _, err := addresses.Get(t.Context(), "10.96.7.7", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an IPAddress that its Service does not have: %v, want none", err)
	}
}

func TestServicesOfTwoFamilies(t *testing.T) {
	t.Parallel()
	six := netip.MustParsePrefix("fd00:96::/112")
	client := serve(t, t.TempDir(), func(c *Config) { c.OtherServiceCIDR = six }).admin(t)
	cidr, err := client.NetworkingV1().ServiceCIDRs().Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || !slices.Equal(cidr.Spec.CIDRs, []string{testCIDR.String(), six.String()}) {
		t.Errorf("the ServiceCIDR: %v, %v", cidr, err)
	}
	for policy, want := range map[corev1.IPFamilyPolicy]int{
		corev1.IPFamilyPolicySingleStack: 1, corev1.IPFamilyPolicyPreferDualStack: 2, corev1.IPFamilyPolicyRequireDualStack: 2,
	} {
		svc, err := client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: strings.ToLower(string(policy))},
			Spec:       corev1.ServiceSpec{IPFamilyPolicy: &policy, Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{})
		if err != nil || len(svc.Spec.ClusterIPs) != want || !testCIDR.Contains(netip.MustParseAddr(svc.Spec.ClusterIPs[0])) {
			t.Errorf("%s: %v, %v", policy, svc.Spec.ClusterIPs, err)
		} else if want == 2 && !six.Contains(netip.MustParseAddr(svc.Spec.ClusterIPs[1])) {
			t.Errorf("%s: %v", policy, svc.Spec.ClusterIPs)
		}
	}
}
