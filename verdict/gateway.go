package verdict

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const gatewayGroup = "gateway.networking.k8s.io"

// routeKinds report a status for each of their parents.
var routeKinds = []string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"}

// judgeRoute asks that each parent has accepted the route and found what it refers to.
// https://gateway-api.sigs.k8s.io/concepts/api-overview/#route-resources
func judgeRoute(o *unstructured.Unstructured) finding {
	wanted, _, _ := unstructured.NestedSlice(o.Object, "spec", "parentRefs")
	parents, _, _ := unstructured.NestedSlice(o.Object, "status", "parents")
	if len(parents) < len(wanted) {
		return waits("%d of %s have looked at it", len(parents), number(len(wanted), "parent"))
	}
	for _, p := range parents {
		parent, _ := p.(map[string]any)
		for _, kind := range []string{"Accepted", "ResolvedRefs"} {
			if found := judgeConditions(parent["conditions"], kind); found.State != Ready {
				return found
			}
		}
	}
	return ready("is accepted")
}

// judgeCondition asks for one condition in the status of an object.
func judgeCondition(o map[string]any, kind string) finding {
	conditions, _, _ := unstructured.NestedFieldNoCopy(o, "status", "conditions")
	return judgeConditions(conditions, kind)
}

func judgeConditions(conditions any, kind string) finding {
	all, _ := conditions.([]any)
	for _, c := range all {
		if c, _ := c.(map[string]any); c["type"] == kind {
			if c["status"] == "True" {
				return ready("its condition %s holds", kind)
			}
			return waits("its condition %s is %v, %v: %v", kind, c["status"], c["reason"], c["message"])
		}
	}
	return waits("%s", fmt.Sprintf("nobody has set its condition %s", kind))
}
