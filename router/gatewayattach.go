package router

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// routePart is one route of any kind, with what its rules make.
type routePart struct {
	kind      string // and its resource
	resource  string
	meta      *metav1.ObjectMeta
	parents   []gatewayv1.ParentReference
	hostnames []gatewayv1.Hostname
	current   []gatewayv1.RouteParentStatus
	compile   func(*routePart) // makes the rules
	rules     []rulePart
	// reason and text say what is wrong with what it refers to; unsupported with its rules.
	reason      gatewayv1.RouteConditionReason
	text        string
	unsupported string
}

// rulePart is one rule. It has either matches, or is a stream's.
type rulePart struct {
	matches []requestMatch
	rule    *gatewayRule
}

// routeStatus is what the status of a route is to say.
type routeStatus struct {
	route   *routePart
	parents []gatewayv1.RouteParentStatus // ours alone
}

// refer notes what is wrong with a reference. The first one is told.
func (r *routePart) refer(reason gatewayv1.RouteConditionReason, text string) {
	if r.reason == "" {
		r.reason, r.text = reason, text
	}
}

func (r *routePart) name() string { return r.meta.Namespace + "/" + r.meta.Name }

// routes are those of all kinds, without their rules.
func (t *gatewayTranslation) routes() (all []*routePart) {
	add := func(kind, resource string, meta *metav1.ObjectMeta, spec gatewayv1.CommonRouteSpec, hostnames []gatewayv1.Hostname, status gatewayv1.RouteStatus, compile func(*routePart)) {
		all = append(all, &routePart{kind: kind, resource: resource, meta: meta, parents: spec.ParentRefs, hostnames: hostnames, current: status.Parents, compile: compile})
	}
	for _, r := range t.http {
		add("HTTPRoute", "httproutes", &r.ObjectMeta, r.Spec.CommonRouteSpec, r.Spec.Hostnames, r.Status.RouteStatus, func(p *routePart) { t.compileHTTP(p, r.Spec.Rules) })
	}
	for _, r := range t.grpc {
		add("GRPCRoute", "grpcroutes", &r.ObjectMeta, r.Spec.CommonRouteSpec, r.Spec.Hostnames, r.Status.RouteStatus, func(p *routePart) { t.compileGRPC(p, r.Spec.Rules) })
	}
	for _, r := range t.tls {
		add("TLSRoute", "tlsroutes", &r.ObjectMeta, r.Spec.CommonRouteSpec, r.Spec.Hostnames, r.Status.RouteStatus, func(p *routePart) { t.compileTLS(p, r.Spec.Rules) })
	}
	return all
}

// translateRoutes attaches all routes to the Gateways that they name.
func (t *gatewayTranslation) translateRoutes() {
	for _, r := range t.routes() {
		if !slices.ContainsFunc(r.parents, func(p gatewayv1.ParentReference) bool { return t.parent(r, p) != nil }) {
			if slices.ContainsFunc(r.current, isOurs) {
				t.statuses = append(t.statuses, routeStatus{route: r}) // it left a Gateway of ours
			}
			continue
		}
		r.compile(r)
		status := routeStatus{route: r}
		for _, p := range r.parents {
			if g := t.parent(r, p); g != nil {
				status.parents = append(status.parents, t.attach(r, g, p))
			}
		}
		t.statuses = append(t.statuses, status)
	}
}

func isOurs(p gatewayv1.RouteParentStatus) bool { return p.ControllerName == GatewayController }

// parent is the Gateway of ours that a route names, nil if it is none.
func (t *gatewayTranslation) parent(r *routePart, p gatewayv1.ParentReference) *gatewayPart {
	if ptr.Deref(p.Group, gatewayv1.GroupName) != gatewayv1.GroupName || ptr.Deref(p.Kind, "Gateway") != "Gateway" {
		return nil
	}
	name := string(ptr.Deref(p.Namespace, gatewayv1.Namespace(r.meta.Namespace))) + "/" + string(p.Name)
	for _, g := range t.all {
		if g.made.name == name {
			return g
		}
	}
	return nil
}

// attach puts a route into the listeners of a Gateway that a reference means and that take it.
func (t *gatewayTranslation) attach(r *routePart, g *gatewayPart, p gatewayv1.ParentReference) gatewayv1.RouteParentStatus {
	reason := gatewayv1.RouteReasonNoMatchingParent
	accepted, text := false, ""
	for _, l := range g.listeners {
		if ptr.Deref(p.SectionName, l.Name) != l.Name || ptr.Deref(p.Port, l.Port) != l.Port {
			continue
		}
		takes := slices.ContainsFunc(l.kinds, func(k gatewayv1.RouteGroupKind) bool { return string(k.Kind) == r.kind })
		if !takes || !t.admits(g, l, r.meta.Namespace) {
			if reason == gatewayv1.RouteReasonNoMatchingParent {
				reason = gatewayv1.RouteReasonNotAllowedByListeners
			}
			continue
		}
		hosts := r.hostsFor(l.made.host)
		if len(hosts) == 0 {
			reason = gatewayv1.RouteReasonNoMatchingListenerHostname
			continue
		}
		if r.unsupported == "" {
			accepted = true
			l.add(r, hosts)
		}
	}
	switch {
	case r.unsupported != "":
		reason, text = gatewayv1.RouteReasonUnsupportedValue, r.unsupported
	case accepted:
		reason = gatewayv1.RouteReasonAccepted
	}
	refs := cmp.Or(r.reason, gatewayv1.RouteReasonResolvedRefs)
	return gatewayv1.RouteParentStatus{ParentRef: p, ControllerName: GatewayController, Conditions: []metav1.Condition{
		condition(string(gatewayv1.RouteConditionAccepted), accepted, string(reason), text),
		condition(string(gatewayv1.RouteConditionResolvedRefs), r.reason == "", string(refs), r.text),
	}}
}

// hostsFor are the hosts of a route that a listener serves.
func (r *routePart) hostsFor(listener hostPattern) (hosts []hostPattern) {
	if len(r.hostnames) == 0 {
		return []hostPattern{listener}
	}
	for _, h := range r.hostnames {
		if both, ok := listener.intersect(hostPattern(strings.ToLower(string(h)))); ok {
			hosts = append(hosts, both)
		}
	}
	return hosts
}

// add attaches a route, once though several references mean the listener.
func (l *listenerPart) add(r *routePart, hosts []hostPattern) {
	id := r.kind + " " + r.name()
	if l.attached[id] {
		return
	}
	l.attached[id] = true
	for i, rule := range r.rules {
		at := origin{created: r.meta.CreationTimestamp.Time, name: r.name(), rule: i}
		for _, host := range hosts {
			if r.kind == "TLSRoute" {
				l.made.streamRoutes = append(l.made.streamRoutes, &streamRoute{host: host, origin: at, backends: rule.rule.backends})
			}
			for j, m := range rule.matches {
				at.match = j
				l.made.routes = append(l.made.routes, &gatewayRoute{host: host, match: m, origin: at, rule: rule.rule})
			}
		}
	}
}
