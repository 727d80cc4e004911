package why

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Gateway API is defined by a CustomResourceDefinition, so its objects are read without Go types.
const gatewayGroup = "gateway.networking.k8s.io"

var (
	gateways       = schema.GroupVersionResource{Group: gatewayGroup, Version: "v1", Resource: "gateways"}
	gatewayClasses = schema.GroupVersionResource{Group: gatewayGroup, Version: "v1", Resource: "gatewayclasses"}
)

// gatewayObject leads to the step of its kind.
func (l *look) gatewayObject(o *unstructured.Unstructured) links {
	switch o.GetKind() {
	case "Gateway":
		return l.gateway(o)
	case "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute":
		return l.route(o)
	}
	return l.other(o)
}

// gateway explains a Gateway by its class, its conditions and those of its listeners.
func (l *look) gateway(o *unstructured.Unstructured) links {
	at := Object{o.GetKind(), o.GetNamespace(), o.GetName()}
	if o.GetDeletionTimestamp() != nil {
		return links{l.ending(at, o)}
	}
	class, _, _ := unstructured.NestedString(o.Object, "spec", "gatewayClassName")
	if _, found := get(l, "gatewayclass", class, objectGetter{l.dynamic.Resource(gatewayClasses)}); found == missing {
		names := l.namesOf(gatewayClasses, "")
		return links{broken(at, "its GatewayClass %s does not exist%s", quote(class), orNearest(class, names)).
			seen("GatewayClasses: " + list(names)).
			mended(l.command(at.Namespace, `patch gateway %s --type=merge -p '{"spec":{"gatewayClassName":"%s"}}'`, at.Name, orElse(nearest(class, names), "CLASS")))}
	}
	conditions := conditionsOf(o, "status", "conditions")
	for _, c := range conditions {
		if (c.Type == "Accepted" || c.Type == "Programmed") && c.Status != metav1.ConditionTrue {
			if found, ok := l.listeners(at, o); ok {
				return links{found}
			}
			if c.Reason == "Pending" {
				return links{waiting(at, "no controller has looked at it yet: its condition %s is %s%s", c.Type, c.Status, saying(c))}
			}
			return links{broken(at, "its condition %s is %s%s", c.Type, c.Status, saying(c))}
		}
	}
	if found, ok := l.listeners(at, o); ok {
		return links{found}
	}
	if len(conditions) == 0 {
		return links{waiting(at, "its status has no conditions: no controller of its class %s has looked at it", quote(class))}
	}
	return links{well(at, "is accepted and programmed")}
}

// listeners finds a listener of a Gateway that does not work.
func (l *look) listeners(at Object, o *unstructured.Unstructured) (Link, bool) {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "listeners")
	for _, item := range all {
		listener, _ := item.(map[string]any)
		name, _ := listener["name"].(string)
		for _, c := range conditionsIn(listener) {
			bad := c.Status != metav1.ConditionTrue && (c.Type == "Accepted" || c.Type == "Programmed" || c.Type == "ResolvedRefs")
			if bad || c.Type == "Conflicted" && c.Status == metav1.ConditionTrue {
				return broken(at, "its listener %s does not work: %s is %s%s", name, c.Type, c.Status, saying(c)).
					mended(l.command(at.Namespace, "edit gateway %s", at.Name)), true
			}
		}
	}
	return Link{}, false
}

func conditionsIn(m map[string]any) (out []metav1.Condition) {
	items, _ := m["conditions"].([]any)
	for _, item := range items {
		if c, ok := item.(map[string]any); ok {
			out = append(out, conditionOf(c))
		}
	}
	return out
}

func (l *look) namesOf(resource schema.GroupVersionResource, namespace string) (out []string) {
	found, ok := listOf(l, resource.Resource, namespace, l.objects(resource, namespace))
	if !ok {
		return nil
	}
	for _, o := range found.Items {
		out = append(out, o.GetName())
	}
	return out
}

// route follows a route up to its Gateways and down to its Services.
func (l *look) route(o *unstructured.Unstructured) links {
	at := Object{o.GetKind(), o.GetNamespace(), o.GetName()}
	if o.GetDeletionTimestamp() != nil {
		return links{l.ending(at, o)}
	}
	parents, _, _ := unstructured.NestedSlice(o.Object, "spec", "parentRefs")
	if len(parents) == 0 {
		return links{broken(at, "names no Gateway in spec.parentRefs, so nobody serves it").mended(l.command(at.Namespace, "edit %s %s", resourceOf(at.Kind), at.Name))}
	}
	for _, item := range parents {
		if found := l.parent(at, item); !found.well() {
			return found
		}
	}
	if found := l.routeBackends(at, o); !found.well() {
		return found
	}
	said, _, _ := unstructured.NestedSlice(o.Object, "status", "parents")
	for _, item := range said {
		status, _ := item.(map[string]any)
		for _, c := range conditionsIn(status) {
			if c.Status != metav1.ConditionTrue && (c.Type == "Accepted" || c.Type == "ResolvedRefs") {
				return links{broken(at, "its Gateway does not take it as it is: %s is %s%s", c.Type, c.Status, saying(c)).
					mended(l.command(at.Namespace, "edit %s %s", resourceOf(at.Kind), at.Name))}
			}
		}
	}
	if len(said) == 0 {
		return links{waiting(at, "no controller has looked at it: its status has no parents")}
	}
	return links{well(at, "is accepted by its Gateway, and its Services answer")}
}

// parent looks at a Gateway that a route names.
func (l *look) parent(at Object, ref any) links {
	m, _ := ref.(map[string]any)
	name, _ := m["name"].(string)
	kind, _ := m["kind"].(string)
	namespace, _ := m["namespace"].(string)
	namespace = orElse(namespace, at.Namespace)
	if orElse(kind, "Gateway") != "Gateway" {
		return nil
	}
	gateway, found := get(l, "gateway", name, objectGetter{l.objects(gateways, namespace)})
	switch found {
	case missing:
		names := l.namesOf(gateways, namespace)
		return links{broken(at, "names the Gateway %s of namespace %s, which does not exist%s", quote(name), namespace, orNearest(name, names)).
			seen(fmt.Sprintf("Gateways in namespace %s: %s", namespace, list(names))).
			mended(note(l.command(at.Namespace, "edit %s %s", resourceOf(at.Kind), at.Name), "and correct spec.parentRefs"))}
	case unreadable:
		return nil
	}
	return led(well(at, "names the Gateway %s", name), l.gateway(gateway))
}

// routeBackends follows a route's rules to their Services.
func (l *look) routeBackends(at Object, o *unstructured.Unstructured) links {
	checked := map[string]bool{}
	rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
	for n, item := range rules {
		rule, _ := item.(map[string]any)
		refs, _ := rule["backendRefs"].([]any)
		for _, r := range refs {
			ref, _ := r.(map[string]any)
			name, _ := ref["name"].(string)
			kind, _ := ref["kind"].(string)
			namespace, _ := ref["namespace"].(string)
			port, _ := ref["port"].(int64)
			if orElse(kind, "Service") != "Service" || namespace != "" && namespace != at.Namespace {
				continue // of others its conditions tell
			}
			if found := l.backend(at, fmt.Sprintf("its rule %d", n+1), at.Namespace, name, networkingv1.ServiceBackendPort{Number: int32(port)}, checked); !found.well() {
				return found
			}
		}
	}
	return nil
}
