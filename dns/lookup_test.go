package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestLookupAsksAsAPodDoes(t *testing.T) {
	many := newSlice("data/db", "many")
	var want []netip.Addr
	for n := range 100 { // too many for a packet of UDP
		ip := fmt.Sprintf("10.244.7.%d", n)
		want = append(want, netip.MustParseAddr(ip))
		many.Endpoints = append(many.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}})
	}
	dual := newClusterIP("default/dual", "10.96.0.30")
	dual.Spec.ClusterIPs = append(dual.Spec.ClusterIPs, "fd00::30")
	c := startCluster(t, nil, newNamespace("default"), newNamespace("data"), dual, newClusterIP("data/db", "None"), many,
		newExternalName("default/circle", "circle.default.svc.cluster.local"))
	for name, want := range map[string][]netip.Addr{
		"dual.default.svc.cluster.local.": {netip.MustParseAddr("10.96.0.30"), netip.MustParseAddr("fd00::30")},
		"db.data.svc.cluster.local.":      want,
		"none.data.svc.cluster.local.":    {},
	} {
		slices.SortFunc(want, netip.Addr.Compare)
		if got, err := Lookup(t.Context(), c.Addr(), name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, want)
		}
	}
	if got, err := Lookup(t.Context(), c.Addr(), "circle.default.svc.cluster.local."); err == nil {
		t.Errorf("a failure of the server is the answer %v", got)
	}
	if got, err := Lookup(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"), "dual.default.svc.cluster.local."); err == nil {
		t.Errorf("nobody answers %v", got)
	}
}
