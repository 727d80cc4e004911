package router

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// reasonOff is that of Gateways and GatewayClasses where nothing serves them, textOff what their conditions say.
const (
	reasonOff = "HTTPPortsOff"
	textOff   = "nothing serves Gateways in this instance: it was started with --http-ports=off"
)

// DeclineGateways says in the statuses of Gateway API's objects that nothing serves them, until ctx ends: for an instance
// without a Router. A conflict, or an API that does not answer, is retried.
func DeclineGateways(ctx context.Context, config *rest.Config, log *slog.Logger) error {
	changed := make(chan struct{}, 1) // holds one token: that something changed
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // a token is there
		}
	}
	kinds, err := newGatewayKinds(config, notify)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1) // of capacity 1, so that a return does not hold up the sender
	go func() { ended <- kinds.run(ctx) }()
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-changed:
		case <-retry.C:
		}
		objects, known := kinds.objects()
		if !known {
			continue
		}
		err := writeStatuses(ctx, kinds.client, declinedStatuses(objects), func() { retry.Reset(reportRetry) })
		if err != nil && ctx.Err() == nil {
			log.Warn("cannot tell Gateways that nothing serves them; retrying", "err", err)
			retry.Reset(reportRetry)
		}
	}
}

// declinedStatuses say of each object that would be served that it is not. Routes lose what a Router said of them.
func declinedStatuses(o gatewayObjects) (all []statusWrite) {
	ours := map[gatewayv1.ObjectName]bool{ClassName: true} // also where there is no such class: there was no Router to make it
	for _, class := range o.classes {
		ours[gatewayv1.ObjectName(class.Name)] = class.Spec.ControllerName == GatewayController
		if class.Spec.ControllerName == GatewayController {
			want := class.Status.DeepCopy()
			merge(&want.Conditions, class.Generation, condition(string(gatewayv1.GatewayClassConditionStatusAccepted), false, reasonOff, textOff))
			all = append(all, statusWrite{"gatewayclasses", "", class.Name, "", nil, class.Status, *want})
		}
	}
	for _, g := range o.gateways {
		if ours[g.Spec.GatewayClassName] && g.DeletionTimestamp == nil {
			all = append(all, statusWrite{"gateways", g.Namespace, g.Name, "uid", g.UID, g.Status, declinedGateway(g)})
		}
	}
	t := gatewayTranslation{gatewayObjects: o}
	for _, r := range t.routes() {
		s := routeStatus{route: r}
		if w := s.write(); len(w.want.(gatewayv1.RouteStatus).Parents) < len(r.current) {
			all = append(all, w)
		}
	}
	return all
}

// declinedGateway says with both of a Gateway's conditions that it is not served. What it said of listeners goes.
func declinedGateway(g *gatewayv1.Gateway) gatewayv1.GatewayStatus {
	want := gatewayv1.GatewayStatus{Conditions: g.DeepCopy().Status.Conditions}
	no := func(kind gatewayv1.GatewayConditionType) metav1.Condition {
		return condition(string(kind), false, reasonOff, textOff)
	}
	merge(&want.Conditions, g.Generation, no(gatewayv1.GatewayConditionAccepted), no(gatewayv1.GatewayConditionProgrammed))
	return want
}
