package e2e

import "testing"

// burners want a twentieth of a CPU each and take twice that, until a file tells them to rest.
const burners = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: burner}
spec:
  selector: {matchLabels: {app: burner}}
  template:
    metadata: {labels: {app: burner}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: kube-lite-test/tool:latest
        imagePullPolicy: IfNotPresent
        args: [burn, "100", /tmp/rest]
        resources: {requests: {cpu: 50m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: burner}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: burner}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
`

func TestAutoscalerFollowsTheLoad(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "autoscaler")
	ns.apply(t, burners)
	ns.waitForValue(t, "hpa/burner", "{.status.desiredReplicas}", "3")
	pods := ns.waitForPods(t, 3, "burner-.*")
	ns.waitForEvent(t, "burner", "SuccessfulRescale", `New size: [23]; reason: cpu resource utilization \(percentage of request\) above target`)

	for _, pod := range pods {
		ns.must(t, "exec", pod, "--", "/tool", "write", "/tmp/rest", "")
	}
	ns.waitForValue(t, "hpa/burner", "{.status.desiredReplicas}", "1")
	ns.waitForPods(t, 1, "burner-.*")
	ns.waitForEvent(t, "burner", "SuccessfulRescale", "New size: 1; reason: All metrics below target")
}
