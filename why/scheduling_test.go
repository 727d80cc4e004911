package why

import "testing"

func TestPodsThatNoNodeTakes(t *testing.T) {
	pod := func(spec, message string) string {
		return `---
apiVersion: v1
kind: Pod
metadata: {name: web, ownerReferences: [{kind: StatefulSet, name: db, controller: true}]}
spec: {` + spec + `}
status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: ` + quote(message) + `}]}
`
	}
	taken := node + `---
apiVersion: v1
kind: Pod
metadata: {name: other}
spec: {nodeName: node, containers: [{name: a, resources: {requests: {cpu: 1500m}}, ports: [{hostPort: 80, containerPort: 80}]}]}
status: {phase: Running}
`
	nodeWith := func(spec string) string {
		return `
apiVersion: v1
kind: Node
metadata: {name: node}
spec: {` + spec + `}
status: {allocatable: {cpu: "2"}}
`
	}
	checkAll(t, []fact{
		{name: "cpu", ask: "pod/web", state: Broken, says: "no node takes it: it asks for 1 cpu, and node node has 2 (500m free)", mends: "kube-lite set resources statefulset/db --requests=cpu=250m",
			api: taken + pod("containers: [{name: web, resources: {requests: {cpu: 1}}}]", "0/1 nodes are available: 1 Insufficient cpu.")},
		{name: "memory", ask: "pod/web", state: Broken, says: "it asks for 6Gi memory, and node node has 4Gi (4Gi free)",
			api: node + pod("containers: [{name: web, resources: {requests: {memory: 6Gi}}}]", "0/1 nodes are available: 1 Insufficient memory.")},
		{name: "a device", ask: "pod/web", state: Broken, says: "it asks for 1 example.com/gpu, and node node has no such resource",
			api: node + pod("containers: [{name: web, resources: {requests: {example.com/gpu: 1}}}]", "0/1 nodes are available: 1 Insufficient example.com/gpu.")},
		{name: "a label that no node has", ask: "pod/web", state: Broken, says: "its nodeSelector asks for a node with the label disk=ssd, and node node has no label disk", mends: "kube-lite label node node disk=ssd --overwrite",
			api: node + pod("nodeSelector: {disk: ssd}", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")},
		{name: "a label with another value", ask: "pod/web", state: Broken, says: "the label zone=south, and node node has zone=north", api: node + pod("nodeSelector: {zone: south}", "none")},
		{name: "node affinity", ask: "pod/web", state: Broken, says: "its node affinity asks for a node with zone In south,east, and node node is none",
			api: node + pod("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [south, east]}]}]}}}", "none")},
		{name: "a taint", ask: "pod/web", state: Broken, says: "node node has the taint team=db:NoSchedule, which the pod does not tolerate", mends: "kube-lite taint node node team-",
			api: nodeWith("taints: [{key: team, value: db, effect: NoSchedule}]") + pod("", "0/1 nodes are available: 1 node(s) had untolerated taint(s).")},
		{name: "a taint that it tolerates", ask: "pod/web", state: Broken, says: "no node takes it: something else",
			api: nodeWith("taints: [{key: team, value: db, effect: NoSchedule}]") + pod("tolerations: [{operator: Exists}]", "0/1 nodes are available: something else.")},
		{name: "a cordoned node", ask: "pod/web", state: Broken, says: "node node takes no new pods, since somebody cordoned it", mends: "kube-lite uncordon node",
			api: nodeWith("unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]") + pod("", "0/1 nodes are available: 1 node(s) were unschedulable.")},
		{name: "two nodes, two reasons", ask: "pod/web", state: Broken, says: "node node has the taint team=db:NoSchedule",
			api: nodeWith("taints: [{key: team, value: db, effect: NoSchedule}]") + `---
apiVersion: v1
kind: Node
metadata: {name: second}
spec: {unschedulable: true}
` + pod("", "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.")},
		{name: "a port of the host", ask: "pod/web", state: Broken, says: "pod other of namespace ns has port 80/TCP of the node already",
			api: taken + pod("containers: [{name: web, ports: [{hostPort: 80, containerPort: 8080}]}]", "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.")},
		{name: "anti-affinity", ask: "pod/web", state: Broken, says: "its pod anti-affinity keeps it from every node that has one of the pods it names",
			api: node + pod("", "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.")},
		{name: "a claim", ask: "pod/web", state: Broken, says: `volume v needs the PersistentVolumeClaim "data", which does not exist`,
			api: node + pod("volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]", `0/1 nodes are available: persistentvolumeclaim "data" not found.`)},
		{name: "no node at all", ask: "pod/web", state: Broken, says: "no node takes it: the cluster has no node", api: pod("", "no nodes available to schedule pods")},
		{name: "a gate", ask: "pod/web", state: Broken, says: "until its scheduling gate example.com/later is taken off", api: node + pod("schedulingGates: [{name: example.com/later}]", "")},
		{name: "a scheduler that does nothing", ask: "pod/web", state: Broken, says: `is to be placed by the scheduler "mine", which has not done so`, api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {schedulerName: mine}`},
		{name: "nobody yet", ask: "pod/web", state: Waiting, says: "is about to be placed on a node", api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}`},
	})
}

func TestNodes(t *testing.T) {
	one := func(spec, conditions string) string {
		return `
apiVersion: v1
kind: Node
metadata: {name: node}
spec: {` + spec + `}
status: {conditions: [` + conditions + `]}`
	}
	checkAll(t, []fact{
		{name: "ready", ask: "node/node", state: OK, says: "is ready and takes pods", api: one("", `{type: Ready, status: "True"}`)},
		{name: "not ready", ask: "node/node", state: Broken, says: "is not ready: container runtime is down", api: one("", `{type: Ready, status: "False", message: container runtime is down}`)},
		{name: "full", ask: "node/node", state: Broken, says: "is ready but short of something: DiskPressure: no space", api: one("", `{type: Ready, status: "True"}, {type: DiskPressure, status: "True", message: no space}`)},
		{name: "cordoned", ask: "node/node", state: Broken, says: "takes no new pods, since somebody cordoned it", api: one("unschedulable: true", `{type: Ready, status: "True"}`)},
		{name: "silent from the beginning", ask: "node/node", state: Broken, says: "has never said whether it is ready", api: one("", "")},
		{name: "tainted", ask: "node/node", state: OK, says: "takes only pods that tolerate its taint team=db:NoSchedule", api: one("taints: [{key: team, value: db, effect: NoSchedule}]", `{type: Ready, status: "True"}`)},
	})
}
