package netproxy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
)

// node is one of those that this machine is: EndpointSlices and Pods call it by its name, packets by its addresses.
type node struct {
	name      string
	addresses []netip.Addr
	pods      []netip.Prefix // the ranges of its Pods' addresses
	first     bool           // it is the one that this machine's own processes are on
}

// nodes are those that this machine is, by their names.
type nodes []node

// has tells whether what is on a node is on this machine.
func (n nodes) has(name string) bool {
	return slices.ContainsFunc(n, func(one node) bool { return one.name == name })
}

// apart are the nodes if there are several: then what is asked of a node's address is asked of that node alone. What is
// asked of any other address of this machine, such as localhost, is asked of all.
func (n nodes) apart() nodes {
	if len(n) < 2 {
		return nil
	}
	return n
}

// of are a node's addresses of a family.
func (n nodes) of(name string, f family) (addresses []netip.Addr) {
	for _, one := range n {
		for _, a := range one.addresses {
			if one.name == name && f.has(a) {
				addresses = append(addresses, a)
			}
		}
	}
	return addresses
}

// clients are the ranges of a family that a node's Pods call from.
func (n node) clients(f family) (ranges []netip.Prefix) {
	for _, r := range n.pods {
		if f.has(r.Addr()) {
			ranges = append(ranges, r.Masked())
		}
	}
	return ranges
}

// nodeOf reads a Node.
func nodeOf(n *corev1.Node) node {
	out := node{name: n.Name}
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			out.addresses = append(out.addresses, addr.Unmap())
		}
	}
	for _, text := range n.Spec.PodCIDRs {
		if r, err := netip.ParsePrefix(text); err == nil {
			out.pods = append(out.pods, r)
		}
	}
	return out
}

// FollowNodes has the Proxy know more nodes than Options.NodeName: all those of the API are this machine. Call it before Run.
func (p *Proxy) FollowNodes(informer coreinformers.NodeInformer) error {
	p.nodeLister = informer.Lister()
	registration, err := informer.Informer().AddEventHandler(handlerOf(func() {
		p.pending.addNodes()
		signal(p.objectsChanged)
	}, func(before, after *corev1.Node) bool { return reflect.DeepEqual(nodeOf(before), nodeOf(after)) }))
	if err != nil {
		return fmt.Errorf("netproxy: registering with an informer: %w", err)
	}
	p.synced = append(p.synced, registration.HasSynced)
	return nil
}

// observeNodes reads which nodes there are. All Services, and all ports of this machine, may be served otherwise by others.
func (p *Proxy) observeNodes() error {
	if p.nodeLister == nil {
		return nil
	}
	found, err := p.nodeLister.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing Nodes: %w", err)
	}
	now := nodes{}
	for _, n := range found {
		now = append(now, nodeOf(n))
	}
	if !now.has(p.own) { // it is about to be registered
		now = append(now, node{name: p.own})
	}
	for i := range now {
		now[i].first = now[i].name == p.own
	}
	slices.SortFunc(now, func(a, b node) int { return strings.Compare(a.name, b.name) })
	if reflect.DeepEqual(now, p.nodes) {
		return nil
	}
	alone := len(now.apart()) == 0 && len(p.nodes.apart()) == 0
	p.nodes = now
	if alone { // nobody has to be told apart
		return nil
	}
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	for _, s := range services {
		p.pending.addService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
	p.pending.addHosts()
	return nil
}
