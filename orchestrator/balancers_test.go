package orchestrator

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

func TestALoadBalancerHasTheAddressesThatAreOpen(t *testing.T) {
	loopback, lan, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.1")
	taken := netip.AddrPortFrom(lan, 81)
	b := &balancers{
		services: corelisters.NewServiceLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)),
		recorder: record.NewFakeRecorder(1),
		opened:   []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("127.0.0.0/8")},
		machine:  func() ([]netip.Addr, error) { return []netip.Addr{loopback, lan, other}, nil },
		free:     func(s socket) bool { return s.at != taken },
		given:    map[types.UID]map[socket]bool{},
	}
	for port, want := range map[int32]string{80: "[127.0.0.1 198.51.100.1]", 81: "[127.0.0.1]"} {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: types.UID(fmt.Sprint(port))}}
		s.Spec.Ports = []corev1.ServicePort{{Port: port, Protocol: corev1.ProtocolTCP}}
		status, err := b.EnsureLoadBalancer(t.Context(), "", s, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Status.LoadBalancer = *status
		if got := fmt.Sprint(addressesOf(s)); got != want {
			t.Errorf("port %d has %s, want %s", port, got, want)
		}
	}
}
