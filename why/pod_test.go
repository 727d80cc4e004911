package why

import "testing"

func TestPodsAreExplainedByTheirContainers(t *testing.T) {
	const previous = `lastState: {terminated: {exitCode: 1, reason: Error, startedAt: "2026-01-01T11:59:50Z", finishedAt: "2026-01-01T11:59:59Z"}}`
	crashed := func(terminated string) string {
		return `restartCount: 3, state: {waiting: {reason: CrashLoopBackOff, message: "back-off 40s restarting failed container=web pod=web_ns(1)"}}, lastState: {terminated: {` + terminated + `}}`
	}
	waits := func(reason, message string) string {
		return `state: {waiting: {reason: ` + reason + `, message: ` + quote(message) + `}}`
	}
	checkAll(t, []fact{
		{name: "a ready pod", ask: "pod/web", state: OK, says: "is ready, on node node", api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node, containers: [{name: web}]}
status: {phase: Running, conditions: [{type: Ready, status: "True"}]}`},
		{name: "a pod that is ready again", ask: "pod/web", state: Broken, says: "container web ends again and again: its program ends with an error (exit code 1)", api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node, containers: [{name: web}]}
status: {phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: web, restartCount: 2, ready: true, state: {running: {startedAt: "2026-01-01T11:59:59Z"}}, ` + previous + `}]}`},
		{name: "a pod that is done", ask: "pod/web", state: OK, says: "all its containers ended with success", api: `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node}
status: {phase: Succeeded}`},
		{name: "evicted", ask: "pod/web", state: Broken, says: "was evicted from node node: The node was low on resource: memory.", api: `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node}
status: {phase: Failed, reason: Evicted, message: "The node was low on resource: memory."}`},
		{name: "turned away by its node", ask: "pod/web", state: Broken, says: "its node node did not take it: Node didn't have enough resource: cpu", api: `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node}
status: {phase: Failed, reason: OutOfcpu, message: "Node didn't have enough resource: cpu"}`},
		{name: "killed for its memory", ask: "pod/web", state: Broken, says: "ends again and again: the kernel killed it, since it wanted more memory than its limit of 16Mi", mends: "set the memory limit of web to 32Mi, in the file of pod/web",
			api: onNode(crashed("exitCode: 137, reason: OOMKilled"), `, resources: {limits: {memory: 16Mi}}`)},
		{name: "killed by a signal", ask: "pod/web", state: Broken, says: "exit code 137, which is that of the signal SIGKILL (somebody killed it)", mends: "kube-lite logs web -c web --previous",
			api: onNode(crashed("exitCode: 137, reason: Error"), "")},
		{name: "done, and started again", ask: "pod/web", state: Broken, says: "its program is done and ends with success (exit code 0), and the pod's restartPolicy Always starts it again",
			api: onNode(crashed("exitCode: 0, reason: Completed"), "")},
		{name: "no such program", ask: "pod/web", state: Broken, says: `the command, "serve", is no program in the image "shop/web:1.0"`,
			api: onNode(crashed(`exitCode: 128, reason: StartError, message: 'runc create failed: exec: "serve": executable file not found in $PATH: unknown'`), `, command: [serve]`)},
		{name: "no such program in its args", ask: "pod/web", state: Broken, says: `the first of the args, "--port", is no program in the image "shop/web:1.0"`,
			api: onNode(waits("RunContainerError", `exec: "--port": executable file not found in $PATH: unknown`), `, args: [--port]`)},
		{name: "a program that may not be executed", ask: "pod/web", state: Broken, says: `the entry point of the image "shop/web:1.0", "/run.sh", is a file that may not be executed`,
			api: onNode(waits("CreateContainerError", `exec: "/run.sh": permission denied: unknown`), "")},
		{name: "no such user", ask: "pod/web", state: Broken, says: `its image "shop/web:1.0" knows no user "app"`,
			api: onNode(waits("CreateContainerError", "unable to find user app: no matching entries in passwd file"), "")},
		{name: "no program at all", ask: "pod/web", state: Broken, says: `neither it nor its image "shop/web:1.0" says which program to run`,
			api: onNode(waits("CreateContainerError", "No command specified"), "")},
		{name: "a working directory that is none", ask: "pod/web", state: Broken, says: `its workingDir "/srv" cannot be entered: not a directory`,
			api: onNode(waits("CreateContainerError", `chdir to cwd ("/srv") set in config.json failed: not a directory: unknown`), "")},
		{name: "a hook that fails", ask: "pod/web", state: Broken, says: `its postStart hook fails: the command "warm up"`,
			api: onNode(waits("PostStartHookError", "exit code 1"), `, lifecycle: {postStart: {exec: {command: [warm, up]}}}`)},
		{name: "an image that comes", ask: "pod/web", state: Waiting, says: `the image "shop/web:1.0" of container web is being pulled, for 2s so far`,
			api: onNode(waits("ContainerCreating", ""), "") + event("web", "Pulling", `Pulling image "shop/web:1.0"`)},
		{name: "a container that comes", ask: "pod/web", state: Waiting, says: "container web has not been started yet", api: onNode(waits("ContainerCreating", ""), "")},
		{name: "no sandbox", ask: "pod/web", state: Broken, says: "its sandbox, which holds the pod's network, cannot be made: no address is free", api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node, containers: [{name: web}]}
status: {phase: Pending}
` + event("web", "FailedCreatePodSandBox", "Failed to create pod sandbox: no address is free")},
		{name: "a readiness gate", ask: "pod/web", state: Broken, says: "the condition example.com/gate, which nobody has set", api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node, readinessGates: [{conditionType: example.com/gate}], containers: [{name: web}]}
status: {phase: Running, podIP: 10.0.0.2, containerStatuses: [{name: web, ready: true, state: {running: {}}}]}`},
		{name: "a node that was stopped", ask: "pod/web", state: Broken, says: "is silent, since somebody stopped it", mends: "kube-lite node start node", api: `
apiVersion: v1
kind: Node
metadata: {name: node, labels: {kube-lite.io/agent: stopped}}
status: {conditions: [{type: Ready, status: Unknown, lastHeartbeatTime: "2026-01-01T11:55:00Z"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node}
status: {phase: Running}`},
		{name: "a node that is silent", ask: "pod/web", state: Broken, says: "has not been heard of for 5m: its node agent does not report any more", api: `
apiVersion: v1
kind: Node
metadata: {name: node}
status: {conditions: [{type: Ready, status: Unknown, lastHeartbeatTime: "2026-01-01T11:55:00Z"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node}
status: {phase: Running}`},
		{name: "a node that is not there", ask: "pod/web", state: Broken, says: `is bound to the node "nodes", which does not exist; there is "node"`, api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: nodes}
status: {phase: Pending}`},
	})
}

func TestInitContainersComeFirst(t *testing.T) {
	pod := func(status string) string {
		return node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: node, initContainers: [{name: first}, {name: second}], containers: [{name: web}]}
status:
  phase: Pending
  podIP: 10.0.0.2
  initContainerStatuses: [{name: first, state: {terminated: {exitCode: 0}}}, {name: second, ` + status + `}]
  containerStatuses: [{name: web, state: {waiting: {reason: PodInitializing}}}]`
	}
	checkAll(t, []fact{
		{name: "one that fails", ask: "pod/web", state: Broken, says: "init container second has ended: its program ends with an error (exit code 2)",
			api: pod(`state: {terminated: {exitCode: 2}}`)},
		{name: "one that fails again", ask: "pod/web", state: Broken, says: "init container second ends again and again: its program ends with an error (exit code 2)",
			api: pod(`restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 2}}`)},
		{name: "one that runs on", ask: "pod/web", state: Waiting, says: "init container second has been running for 90s", mends: "kube-lite logs web -c second -f",
			api: pod(`state: {running: {startedAt: "2026-01-01T11:58:30Z"}}`)},
	})
}

func TestDeletedPodsThatStay(t *testing.T) {
	pod := func(meta, more string) string {
		return node + `---
apiVersion: v1
kind: Pod
metadata: {name: web, ` + meta + `}
spec: {nodeName: node, containers: [{name: web` + more + `}]}
status: {phase: Running, containerStatuses: [{name: web, state: {running: {}}}]}`
	}
	checkAll(t, []fact{
		{name: "in its grace period", ask: "pod/web", state: Waiting, says: "was deleted 10s ago; its containers were asked to end and have 20s left before they are killed",
			api: pod(`deletionTimestamp: "2026-01-01T12:00:20Z", deletionGracePeriodSeconds: 30, finalizers: [kept]`, "")},
		{name: "with a hook", ask: "pod/web", state: Waiting, says: "its preStop hook and its containers have 20s left",
			api: pod(`deletionTimestamp: "2026-01-01T12:00:20Z", deletionGracePeriodSeconds: 30, finalizers: [kept]`, `, lifecycle: {preStop: {sleep: {seconds: 9}}}`)},
		{name: "after it", ask: "pod/web", state: Waiting, says: "its grace period of 30s is over, and its node has not reported its end yet",
			api: pod(`deletionTimestamp: "2026-01-01T11:59:00Z", deletionGracePeriodSeconds: 30, finalizers: [kept]`, "")},
		{name: "with a finalizer", ask: "pod/web", state: Broken, says: "stays until the finalizer example.com/hold is taken off", api: node + `---
apiVersion: v1
kind: Pod
metadata: {name: web, deletionTimestamp: "2026-01-01T11:59:00Z", finalizers: [example.com/hold]}
spec: {nodeName: node, containers: [{name: web}]}
status: {phase: Succeeded}`},
	})
}
