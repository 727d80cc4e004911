package netproxy

import (
	"cmp"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// desired is the one description of what an instance wants in the kernel. Both backends make their rules of it.
type desired struct {
	settings settings
	services map[types.NamespacedName][]servicePort
	hosts    []hostPort
	policies *policySet // nil: none
}

func newDesired(s settings) *desired {
	return &desired{settings: s, services: map[types.NamespacedName][]servicePort{}}
}

// changes say which parts of a desired are not what a backend was given the last time.
type changes struct {
	all      bool // anything may have changed
	services map[types.NamespacedName]bool
	hosts    bool
	policies bool
}

func (c changes) none() bool { return !c.all && !c.hosts && !c.policies && len(c.services) == 0 }

// setService notes what a Service has now; without ports it is forgotten.
func (d *desired) setService(name types.NamespacedName, ports []servicePort, c *changes) (changed bool) {
	if reflect.DeepEqual(d.services[name], ports) || len(d.services[name])+len(ports) == 0 {
		return false
	}
	if c.services == nil {
		c.services = map[types.NamespacedName]bool{}
	}
	c.services[name] = true
	if len(ports) == 0 {
		delete(d.services, name)
	} else {
		d.services[name] = ports
	}
	return true
}

// setHosts notes which ports of this machine lead to Pods now.
func (d *desired) setHosts(hosts []hostPort, c *changes) (changed bool) {
	if slices.Equal(d.hosts, hosts) {
		return false
	}
	d.hosts, c.hosts = hosts, true
	return true
}

// setPolicies notes what NetworkPolicies mean now.
func (d *desired) setPolicies(set *policySet, c *changes) {
	if d.policies != set {
		d.policies, c.policies = set, true
	}
}

// ports are those of all Services in a stable order.
func (d *desired) ports() []servicePort {
	all := make([]servicePort, 0, len(d.services))
	for _, ports := range d.services {
		all = append(all, ports...)
	}
	slices.SortFunc(all, compareServicePorts)
	return all
}

func compareServicePorts(a, b servicePort) int {
	return cmp.Or(cmp.Compare(a.Service.Namespace, b.Service.Namespace), cmp.Compare(a.Service.Name, b.Service.Name),
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), cmp.Compare(a.PortName, b.PortName))
}
