package daemon

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// nodeBits is the width of a node's range of Pod addresses, as kube-controller-manager's --node-cidr-mask-size has it by default.
const nodeBits = 24

// nodeRanges are the ranges of the instance's network that its nodes' Pods have their addresses of, by their numbers from 0
// on; the node that the instance began with has the first. A network that is too narrow for several is all its.
type nodeRanges struct {
	network  docker.NetworkSpec
	families []corev1.IPFamily // of Pods, the primary one first
}

// count is how many ranges there are: what the engine gives to others is left out.
func (r nodeRanges) count() int {
	wide := nodeBits - r.network.Subnet.Bits()
	if wide < 2 { // the engine has a quarter
		return 1
	}
	return 1<<wide - 1<<(wide-2)
}

// of is the range of a number.
func (r nodeRanges) of(number int) netip.Prefix {
	if r.count() == 1 {
		return r.network.Subnet.Masked()
	}
	base := r.network.Subnet.Masked().Addr().As4()
	var at [4]byte
	binary.BigEndian.PutUint32(at[:], binary.BigEndian.Uint32(base[:])+uint32(number)<<(32-nodeBits))
	return netip.PrefixFrom(netip.AddrFrom4(at), nodeBits)
}

// address is that of the node itself.
func (r nodeRanges) address(number int) netip.Addr { return r.of(number).Addr().Next() }

// cidrs are the range in each family, as a Node's podCIDRs have them.
func (r nodeRanges) cidrs(number int) (texts []string) {
	for _, f := range r.families {
		if f == corev1.IPv6Protocol {
			texts = append(texts, r.network.Range6(r.of(number)).String())
		} else {
			texts = append(texts, r.of(number).String())
		}
	}
	return texts
}

// find is the number of the range that a Node has as its podCIDR.
func (r nodeRanges) find(podCIDR string) (number int, ok bool) {
	for n := range r.count() {
		if r.cidrs(n)[0] == podCIDR {
			return n, true
		}
	}
	return 0, false
}

// given is the number of the range that a Node has. Somebody may have made the Node with one that it cannot have: of all, the
// oldest first, the first to have a range keeps it, and what is narrower or elsewhere is no node's.
func (r nodeRanges) given(node *corev1.Node, first string, all []*corev1.Node) (number int, err error) {
	if node.Name == first {
		return 0, nil
	}
	number, ok := r.find(node.Spec.PodCIDR)
	if !ok || number == 0 {
		return 0, fmt.Errorf("podCIDR %s is no range of this instance's added nodes: make the Node without one", node.Spec.PodCIDR)
	}
	for _, other := range all {
		if other.Name == node.Name {
			break
		}
		if other.Spec.PodCIDR == node.Spec.PodCIDR {
			return 0, fmt.Errorf("podCIDR %s is the range of node %s: make the Node without one", node.Spec.PodCIDR, other.Name)
		}
	}
	return number, nil
}

// left are those of these addresses that are nodes' whose ranges nobody has. The first node's is the bridge's own.
func (r nodeRanges) left(addresses []netip.Addr, taken map[int]bool) (left []netip.Addr) {
	for n := 1; n < r.count(); n++ {
		if a := r.address(n); !taken[n] && slices.Contains(addresses, a) {
			left = append(left, a)
		}
	}
	return left
}

// free is the first range that is not taken and in which no Pod has its address: those of the first node may be anywhere,
// from the time when it was alone.
func (r nodeRanges) free(taken map[int]bool, inUse []netip.Addr) (number int, err error) {
	for n := 1; n < r.count(); n++ {
		if !taken[n] && !slices.ContainsFunc(inUse, r.of(n).Contains) {
			return n, nil
		}
	}
	if r.count() == 1 {
		return 0, fmt.Errorf("the pods' range %s is too narrow for another node: make the instance with --pod-cidr and a range of /%d or wider",
			r.network.Subnet, nodeBits-2)
	}
	return 0, fmt.Errorf("the pods' range %s has no part left for another node: it has %d", r.network.Subnet, r.count())
}
