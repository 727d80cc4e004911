package e2e

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

const priorities = `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: low}
value: 1000
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 100000
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: patient}
value: 10000
preemptionPolicy: Never
---
`

// The node has room for one of these Pods at a time.
func TestAPodPreemptsThoseOfLowerPriority(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := namespace{"default", i}
	cpu := resource.MustParse(ns.value(t, "nodes", "{.items[0].status.allocatable.cpu}"))
	most := fmt.Sprintf(`args: [sleep], resources: {requests: {cpu: %dm}}`, cpu.MilliValue()*6/10)
	pod := func(class string) string { return podOf(class, "priorityClassName: "+class, most) }

	ns.apply(t, priorities+pod("low"))
	ns.waitForValue(t, "pod/low", "{.status.phase} {.spec.priority}", "Running 1000")
	ns.apply(t, pod("patient"))
	ns.waitForEvent(t, "patient", "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.*not eligible due to preemptionPolicy=Never")

	ns.apply(t, pod("high"))
	ns.waitForValue(t, "pod/high", "{.status.phase} {.spec.priority}", "Running 100000")
	ns.waitForEvent(t, "low", "Preempted", "Preempted by pod "+ns.value(t, "pod/high", "{.metadata.uid}"))
	eventually(t, func() error {
		if left := strings.TrimSpace(ns.must(t, "get", "pods", "-o", "name")); left != "pod/high\npod/patient" {
			return fmt.Errorf("there are %q, want high and patient", left)
		}
		return nil
	})
	ns.must(t, "delete", "pod", "high")
	ns.waitForValue(t, "pod/patient", "{.status.phase}", "Running")
}
