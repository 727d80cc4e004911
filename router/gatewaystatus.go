package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// supportedFeatures are what the conformance tests ask of an implementation, as they name it, in the order of their names.
var supportedFeatures = []gatewayv1.SupportedFeature{
	{Name: "GRPCRoute"}, {Name: "GRPCRouteNamedRouteRule"}, {Name: "Gateway"}, {Name: "GatewayAddressEmpty"},
	{Name: "GatewayHTTPListenerIsolation"}, {Name: "GatewayHTTPSListenerDetectMisdirectedRequests"}, {Name: "GatewayPort8080"},
	{Name: "HTTPRoute"}, {Name: "HTTPRoute303RedirectStatusCode"}, {Name: "HTTPRoute307RedirectStatusCode"},
	{Name: "HTTPRoute308RedirectStatusCode"}, {Name: "HTTPRouteBackendProtocolH2C"}, {Name: "HTTPRouteBackendProtocolWebSocket"},
	{Name: "HTTPRouteBackendRequestHeaderModification"}, {Name: "HTTPRouteBackendTimeout"}, {Name: "HTTPRouteCORS"},
	{Name: "HTTPRouteDestinationPortMatching"}, {Name: "HTTPRouteHostRewrite"}, {Name: "HTTPRouteMethodMatching"},
	{Name: "HTTPRouteNamedRouteRule"}, {Name: "HTTPRouteParentRefPort"}, {Name: "HTTPRoutePathRedirect"}, {Name: "HTTPRoutePathRewrite"},
	{Name: "HTTPRoutePortRedirect"}, {Name: "HTTPRouteQueryParamMatching"}, {Name: "HTTPRouteRequestMirror"},
	{Name: "HTTPRouteRequestMultipleMirrors"}, {Name: "HTTPRouteRequestPercentageMirror"}, {Name: "HTTPRouteRequestTimeout"},
	{Name: "HTTPRouteResponseHeaderModification"}, {Name: "HTTPRouteSchemeRedirect"}, {Name: "ReferenceGrant"}, {Name: "TLSRoute"},
	{Name: "TLSRouteModeMixed"}, {Name: "TLSRouteModeTerminate"},
}

// statusWrite is the status of one object as it is and as it is to be.
type statusWrite struct {
	resource, namespace, name string
	check                     string // the field of the metadata that is to be as it is: uid or resourceVersion; "": none
	value                     any
	is, want                  any
}

// gatewayStatuses are those of all objects that concern us.
func gatewayStatuses(t *gatewayTranslation, ports Ports) (all []statusWrite) {
	for _, class := range t.classes {
		if class.Spec.ControllerName == GatewayController {
			want := class.Status.DeepCopy()
			want.SupportedFeatures = supportedFeatures
			merge(&want.Conditions, class.Generation, condition(string(gatewayv1.GatewayClassConditionStatusAccepted), true, string(gatewayv1.GatewayClassReasonAccepted), ""))
			all = append(all, statusWrite{"gatewayclasses", "", class.Name, "", nil, class.Status, *want})
		}
	}
	for _, g := range t.all {
		all = append(all, statusWrite{"gateways", g.Namespace, g.Name, "uid", g.UID, g.Status, g.status(ports)})
	}
	for _, s := range t.statuses {
		all = append(all, s.write())
	}
	return all
}

// merge puts conditions into those that are there. The time of one changes with its status only.
func merge(into *[]metav1.Condition, generation int64, conditions ...metav1.Condition) {
	for _, c := range conditions {
		c.ObservedGeneration = generation
		meta.SetStatusCondition(into, c)
	}
}

// status is what that of a Gateway is to say. The router serves 80 and 443 of all Gateways at pair.
func (g *gatewayPart) status(pair Ports) gatewayv1.GatewayStatus {
	want := *g.Status.DeepCopy()
	want.Addresses = nil
	if a := g.address(pair); a.IsValid() {
		want.Addresses = []gatewayv1.GatewayStatusAddress{{Type: ptr.To(gatewayv1.IPAddressType), Value: a.String()}}
	}
	want.Listeners = nil
	valid := 0
	for _, l := range g.listeners {
		want.Listeners = append(want.Listeners, g.listenerStatus(l, pair))
		if l.valid {
			valid++
		}
	}
	accepted, reason, text := true, gatewayv1.GatewayReasonAccepted, ""
	switch {
	case g.unusable != "":
		accepted, reason, text = false, gatewayv1.GatewayReasonUnsupportedAddress, g.unusable
	case valid < len(g.listeners):
		accepted, reason = valid > 0, gatewayv1.GatewayReasonListenersNotValid
	}
	programmed, where := g.programmed(pair)
	why := string(gatewayv1.GatewayReasonProgrammed)
	switch {
	case !accepted:
		programmed, why, where = false, string(gatewayv1.GatewayReasonInvalid), ""
	case !programmed && len(g.served.ownTaken) > 0:
		why = reasonPortUnavailable
	case !programmed:
		why = string(gatewayv1.GatewayReasonAddressNotAssigned)
	}
	merge(&want.Conditions, g.Generation,
		condition(string(gatewayv1.GatewayConditionAccepted), accepted, string(reason), text),
		condition(string(gatewayv1.GatewayConditionProgrammed), programmed, why, where))
	return want
}

func (g *gatewayPart) listenerStatus(l *listenerPart, pair Ports) gatewayv1.ListenerStatus {
	s := gatewayv1.ListenerStatus{Name: l.Name, SupportedKinds: l.kinds, AttachedRoutes: int32(len(l.attached))}
	if s.SupportedKinds == nil {
		s.SupportedKinds = []gatewayv1.RouteGroupKind{}
	}
	for _, before := range g.Status.Listeners {
		if before.Name == l.Name {
			s.Conditions = slices.Clone(before.Conditions)
		}
	}
	conditions := slices.Clone(l.conditions)
	for i, c := range conditions {
		if c.Type == string(gatewayv1.ListenerConditionProgrammed) && l.valid {
			conditions[i] = g.listenerProgrammed(l, pair)
		}
	}
	merge(&s.Conditions, g.Generation, conditions...)
	return s
}

// listenerProgrammed says whether a listener with which nothing is wrong is served.
func (g *gatewayPart) listenerProgrammed(l *listenerPart, pair Ports) metav1.Condition {
	const kind = string(gatewayv1.ListenerConditionProgrammed)
	if g.unusable != "" {
		return condition(kind, false, string(gatewayv1.ListenerReasonInvalid), g.unusable)
	}
	is, text := g.served.programmed(l.made.port, pair)
	if !is {
		return condition(kind, false, reasonPortUnavailable, text)
	}
	return condition(kind, true, string(gatewayv1.ListenerReasonProgrammed), text)
}

// write is the status of a route, with what other controllers say of it.
func (s *routeStatus) write() statusWrite {
	is, want := gatewayv1.RouteStatus{Parents: s.route.current}, gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{}}
	for _, p := range s.route.current {
		if !isOurs(p) {
			want.Parents = append(want.Parents, p)
		}
	}
	for _, p := range s.parents {
		conditions := p.Conditions
		p.Conditions = nil
		for _, before := range s.route.current {
			if isOurs(before) && equality.Semantic.DeepEqual(before.ParentRef, p.ParentRef) {
				p.Conditions = slices.Clone(before.Conditions)
			}
		}
		merge(&p.Conditions, s.route.meta.Generation, conditions...)
		want.Parents = append(want.Parents, p)
	}
	m := s.route.meta
	return statusWrite{s.route.resource, m.Namespace, m.Name, "resourceVersion", m.ResourceVersion, is, want}
}

// tellGateways writes the statuses that differ.
func (r *reporter) tellGateways(ctx context.Context, all []statusWrite) error {
	return writeStatuses(ctx, r.gateways, all, func() { r.watch.markRoutes(nil) })
}

// writeStatuses writes those that differ. It calls conflict where somebody else has written an object meanwhile.
func writeStatuses(ctx context.Context, gateways rest.Interface, all []statusWrite, conflict func()) error {
	var errs []error
	for _, w := range all {
		if equality.Semantic.DeepEqual(w.is, w.want) {
			continue
		}
		steps := []map[string]any{{"op": "add", "path": "/status", "value": w.want}} // as a whole: what it does not say goes
		if w.check != "" {
			steps = append(steps, map[string]any{"op": "replace", "path": "/metadata/" + w.check, "value": w.value})
		}
		patch, err := json.Marshal(steps)
		if err == nil {
			err = gateways.Patch(types.JSONPatchType).NamespaceIfScoped(w.namespace, w.namespace != "").Resource(w.resource).
				Name(w.name).SubResource("status").Body(patch).Do(ctx).Error()
		}
		switch {
		case err == nil, apierrors.IsNotFound(err):
		case apierrors.IsConflict(err):
			conflict()
		default:
			errs = append(errs, fmt.Errorf("status of %s %s/%s: %w", w.resource, w.namespace, w.name, err))
		}
	}
	return errors.Join(errs...)
}

// ensureGatewayClass makes the GatewayClass if it is not there.
func (r *reporter) ensureGatewayClass(ctx context.Context) error {
	class := &gatewayv1.GatewayClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: "GatewayClass"},
		ObjectMeta: metav1.ObjectMeta{Name: ClassName},
		Spec:       gatewayv1.GatewayClassSpec{ControllerName: GatewayController, Description: ptr.To("routes on this machine's localhost")},
	}
	err := r.gateways.Post().Resource("gatewayclasses").Body(class).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("GatewayClass %s: %w", ClassName, err)
	}
	return nil
}
