package router

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GatewayController is what a GatewayClass names whose Gateways are served.
const GatewayController = "kube-lite.io/router"

// gatewayTranslation makes what Gateways serve of the objects of Gateway API, and what their statuses are to say.
type gatewayTranslation struct {
	gatewayObjects
	// backend returns that of a port of a Service.
	backend     func(backendKey) *backend
	certificate func(namespace, name string) (*tls.Certificate, error)
	// namespaceLabels returns those of a Namespace.
	namespaceLabels func(name string) labels.Set
	log             *slog.Logger
	mirrors         *sync.WaitGroup // copies of requests under way

	used     map[*backend]bool
	all      []*gatewayPart // in the order of their age
	statuses []routeStatus
}

// gatewayPart is one Gateway with what becomes of it.
type gatewayPart struct {
	*gatewayv1.Gateway
	made      *gateway
	listeners []*listenerPart
	// unusable says why the addresses that it asks for cannot be had.
	unusable string
	served   served
}

// listenerPart is one listener of a Gateway.
type listenerPart struct {
	*gatewayv1.Listener
	made       *listener
	kinds      []gatewayv1.RouteGroupKind // of routes that may attach
	attached   map[string]bool            // routes, "Kind namespace/name"
	conditions []metav1.Condition
	valid      bool
}

// translate translates. Call it once.
func (t *gatewayTranslation) translate() {
	t.used = map[*backend]bool{}
	ours := map[gatewayv1.ObjectName]bool{}
	for _, class := range t.classes {
		ours[gatewayv1.ObjectName(class.Name)] = class.Spec.ControllerName == GatewayController
	}
	for _, g := range t.gateways {
		if ours[g.Spec.GatewayClassName] && g.DeletionTimestamp == nil {
			t.all = append(t.all, &gatewayPart{Gateway: g, made: &gateway{name: g.Namespace + "/" + g.Name}})
		}
	}
	slices.SortFunc(t.all, func(a, b *gatewayPart) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.made.name, b.made.name))
	})
	for _, g := range t.all {
		t.translateListeners(g)
	}
	t.translateRoutes()
	for _, g := range t.all {
		for _, l := range g.listeners {
			if l.valid {
				l.made.sort()
				g.made.listeners = append(g.made.listeners, l.made)
			}
		}
	}
}

func (t *gatewayTranslation) translateListeners(g *gatewayPart) {
	for _, a := range g.Spec.Addresses {
		if a.Value != "" {
			g.unusable = "addresses cannot be chosen: each Gateway gets one of this machine's own"
		}
	}
	for i := range g.Spec.Listeners {
		declared := &g.Spec.Listeners[i]
		l := &listenerPart{Listener: declared, attached: map[string]bool{}, made: &listener{
			port: uint16(declared.Port), host: hostPattern(strings.ToLower(string(ptr.Deref(declared.Hostname, "")))),
			secured:     declared.Protocol == gatewayv1.HTTPSProtocolType || declared.Protocol == gatewayv1.TLSProtocolType,
			streams:     declared.Protocol == gatewayv1.TLSProtocolType,
			passthrough: declared.TLS != nil && ptr.Deref(declared.TLS.Mode, gatewayv1.TLSModeTerminate) == gatewayv1.TLSModePassthrough,
		}}
		g.listeners = append(g.listeners, l)
	}
	for i, l := range g.listeners {
		t.judge(g, l, g.listeners[:i])
	}
}

// judge says what is wrong with a listener, as conditions. Those before it in the list have precedence.
func (t *gatewayTranslation) judge(g *gatewayPart, l *listenerPart, before []*listenerPart) {
	var allowed []gatewayv1.Kind
	accepted := gatewayv1.ListenerReasonAccepted
	text := ""
	switch l.Protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		allowed = []gatewayv1.Kind{"HTTPRoute", "GRPCRoute"}
	case gatewayv1.TLSProtocolType:
		allowed = []gatewayv1.Kind{"TLSRoute"}
	default:
		accepted, text = gatewayv1.ListenerReasonUnsupportedProtocol, fmt.Sprintf("the protocol %s is not served here", l.Protocol)
	}
	if l.Protocol == gatewayv1.HTTPSProtocolType && l.made.passthrough {
		accepted, text = gatewayv1.ListenerReasonUnsupportedValue, "TLS ends at a listener of the protocol HTTPS"
	}
	conflict := gatewayv1.ListenerReasonNoConflicts
	for _, other := range before {
		switch {
		case other.Port != l.Port || other.Protocol == gatewayv1.UDPProtocolType:
		case other.made.secured != l.made.secured:
			conflict = gatewayv1.ListenerReasonProtocolConflict
		case other.made.host == l.made.host:
			conflict = gatewayv1.ListenerReasonHostnameConflict
		}
	}
	refs, refsText := t.resolveListener(g, l, allowed)
	l.valid = accepted == gatewayv1.ListenerReasonAccepted && conflict == gatewayv1.ListenerReasonNoConflicts &&
		(refs == gatewayv1.ListenerReasonResolvedRefs || refs == gatewayv1.ListenerReasonInvalidRouteKinds && len(l.kinds) > 0)
	l.set(gatewayv1.ListenerConditionAccepted, accepted == gatewayv1.ListenerReasonAccepted && conflict == gatewayv1.ListenerReasonNoConflicts,
		orConflict(accepted, conflict), text)
	l.set(gatewayv1.ListenerConditionConflicted, conflict != gatewayv1.ListenerReasonNoConflicts, conflict, "")
	l.set(gatewayv1.ListenerConditionResolvedRefs, refs == gatewayv1.ListenerReasonResolvedRefs, refs, refsText)
	reason := gatewayv1.ListenerReasonProgrammed
	if !l.valid {
		reason = gatewayv1.ListenerReasonInvalid
	}
	l.set(gatewayv1.ListenerConditionProgrammed, l.valid, reason, "")
}

func orConflict(accepted, conflict gatewayv1.ListenerConditionReason) gatewayv1.ListenerConditionReason {
	if conflict != gatewayv1.ListenerReasonNoConflicts && accepted == gatewayv1.ListenerReasonAccepted {
		return conflict
	}
	return accepted
}

func (l *listenerPart) set(kind gatewayv1.ListenerConditionType, is bool, reason gatewayv1.ListenerConditionReason, text string) {
	l.conditions = append(l.conditions, condition(string(kind), is, string(reason), text))
}

// condition is one without the time and generation, which are added when it is written.
func condition(kind string, is bool, reason, text string) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: text}
	if is {
		c.Status = metav1.ConditionTrue
	}
	return c
}

// resolveListener finds the kinds of routes and the certificates of a listener, and what is wrong with them.
func (t *gatewayTranslation) resolveListener(g *gatewayPart, l *listenerPart, supported []gatewayv1.Kind) (reason gatewayv1.ListenerConditionReason, text string) {
	reason = gatewayv1.ListenerReasonResolvedRefs
	group := gatewayv1.Group(gatewayv1.GroupName)
	wanted := []gatewayv1.RouteGroupKind{}
	if l.AllowedRoutes != nil {
		wanted = l.AllowedRoutes.Kinds
	}
	if len(wanted) == 0 {
		for _, kind := range supported {
			l.kinds = append(l.kinds, gatewayv1.RouteGroupKind{Group: &group, Kind: kind})
		}
	}
	for _, w := range wanted {
		if ptr.Deref(w.Group, group) == group && slices.Contains(supported, w.Kind) {
			l.kinds = append(l.kinds, gatewayv1.RouteGroupKind{Group: &group, Kind: w.Kind})
		} else if len(supported) > 0 {
			reason, text = gatewayv1.ListenerReasonInvalidRouteKinds, fmt.Sprintf("%s cannot attach to a listener of the protocol %s", w.Kind, l.Protocol)
		}
	}
	if !l.made.secured || l.made.passthrough || l.TLS == nil {
		return reason, text
	}
	for _, ref := range l.TLS.CertificateRefs {
		namespace := string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(g.Namespace)))
		switch {
		case ptr.Deref(ref.Group, "") != "" || ptr.Deref(ref.Kind, "Secret") != "Secret":
			reason, text = gatewayv1.ListenerReasonInvalidCertificateRef, "certificates are Secrets here"
		case !t.granted("Gateway", g.Namespace, "", "Secret", namespace, string(ref.Name)):
			reason, text = gatewayv1.ListenerReasonRefNotPermitted, fmt.Sprintf("no ReferenceGrant of %s lets it use the Secret %s", namespace, ref.Name)
		default:
			certificate, err := t.certificate(namespace, string(ref.Name))
			if err != nil {
				reason, text = gatewayv1.ListenerReasonInvalidCertificateRef, err.Error()
				continue
			}
			l.made.certificates = append(l.made.certificates, certificate)
		}
	}
	return reason, text
}

// granted tells whether objects of a kind in one namespace may refer to an object in another.
// https://gateway-api.sigs.k8s.io/api-types/referencegrant/
func (t *gatewayTranslation) granted(fromKind, fromNamespace, group, kind, namespace, name string) bool {
	if fromNamespace == namespace {
		return true
	}
	return slices.ContainsFunc(t.grants, func(grant *gatewayv1.ReferenceGrant) bool {
		from := slices.ContainsFunc(grant.Spec.From, func(f gatewayv1.ReferenceGrantFrom) bool {
			return f.Group == gatewayv1.GroupName && string(f.Kind) == fromKind && string(f.Namespace) == fromNamespace
		})
		to := slices.ContainsFunc(grant.Spec.To, func(o gatewayv1.ReferenceGrantTo) bool {
			return string(o.Group) == group && string(o.Kind) == kind && (ptr.Deref(o.Name, "") == "" || string(*o.Name) == name)
		})
		return grant.Namespace == namespace && from && to
	})
}

// admits tells whether a listener takes routes of a namespace.
func (t *gatewayTranslation) admits(g *gatewayPart, l *listenerPart, namespace string) bool {
	from := gatewayv1.NamespacesFromSame
	var selector *metav1.LabelSelector
	if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil {
		from, selector = ptr.Deref(l.AllowedRoutes.Namespaces.From, from), l.AllowedRoutes.Namespaces.Selector
	}
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == g.Namespace
	case gatewayv1.NamespacesFromSelector:
		chosen, err := metav1.LabelSelectorAsSelector(selector)
		return err == nil && chosen.Matches(t.namespaceLabels(namespace))
	default:
		return false
	}
}
