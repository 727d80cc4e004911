package why

import "testing"

// aDeployment has the ReplicaSet web-1.
func aDeployment(spec, status string) string {
	return node + `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, generation: 1}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}` + spec + `}
status: {observedGeneration: 1` + status + `}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-0, annotations: {deployment.kubernetes.io/revision: "9"}, ownerReferences: [{kind: Deployment, name: web, uid: uid-web, controller: true}]}
spec: {replicas: 0}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, annotations: {deployment.kubernetes.io/revision: "10"}, ownerReferences: [{kind: Deployment, name: web, uid: uid-web, controller: true}]}
spec: {replicas: 1}
`
}

func TestWorkloadsLeadToTheirPods(t *testing.T) {
	owned := func(kind, owner, status string) string {
		return `---
apiVersion: v1
kind: Pod
metadata: {name: ` + owner + `-a, ownerReferences: [{kind: ` + kind + `, name: ` + owner + `, uid: uid-` + owner + `, controller: true}]}
spec: {nodeName: node, containers: [{name: web, image: "shop/web:1.0"}]}
status: {` + status + `}
`
	}
	const ready = `phase: Running, conditions: [{type: Ready, status: "True"}]`
	const crashes = `phase: Running, podIP: 10.0.0.2, containerStatuses: [{name: web, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 2}}}]`
	checkAll(t, []fact{
		{name: "a deployment that is well", ask: "deployment/web", state: OK, says: "is ready, on node node", api: aDeployment("", ", replicas: 1, readyReplicas: 1, updatedReplicas: 1") + owned("ReplicaSet", "web-1", ready)},
		{name: "one whose pod crashes", ask: "deployment/web", state: Broken, says: "its program ends with an error (exit code 2)", api: aDeployment("", "") + owned("ReplicaSet", "web-1", crashes)},
		{name: "one that is being replaced", ask: "deployment/web", state: Waiting, says: "1 pod of an older version is still being removed",
			api: aDeployment("", ", replicas: 2, readyReplicas: 2, updatedReplicas: 1") + owned("ReplicaSet", "web-1", ready)},
		{name: "paused", ask: "deployment/web", state: Broken, says: "its rollout is paused, so 0 of 1 pods have what is declared now", mends: "kube-lite rollout resume deployment/web", api: aDeployment(", paused: true", "")},
		{name: "scaled to 0", ask: "deployment/web", state: OK, says: "is scaled to 0, so it has no pods", api: aDeployment(", replicas: 0", "")},
		{name: "new", ask: "deployment/web", state: Waiting, says: "its controller has not looked at the change yet", api: `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, generation: 2}`},
		{name: "a stateful set that waits for its first pod", ask: "statefulset/db", state: Broken, says: "exit code 2", api: node + `---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {replicas: 3}
` + owned("StatefulSet", "db", crashes)},
		{name: "a stateful set whose pods stay old", ask: "statefulset/db", state: Broken, says: "0 of 1 pods have what is declared now: with the update strategy OnDelete", mends: "kube-lite delete pod db-0", api: node + `---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {updateStrategy: {type: OnDelete}}
status: {replicas: 1, readyReplicas: 1, currentRevision: a, updateRevision: b}
` + owned("StatefulSet", "db", ready)},
		{name: "a daemon set for no node", ask: "daemonset/agent", state: Broken, says: "no node is to run it: its nodeSelector asks for a node with the label role=edge", api: node + `---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {template: {spec: {nodeSelector: {role: edge}}}}`},
		{name: "a replication controller", ask: "rc/web", state: Broken, says: "exit code 2", api: node + `---
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
` + owned("ReplicationController", "web", crashes)},
	})
}

func TestPodsThatTheAPIRefuses(t *testing.T) {
	for message, want := range map[string]string{
		`pods "web-1" is forbidden: exceeded quota: small, requested: requests.cpu=2, used: requests.cpu=0, limited: requests.cpu=1`: "the quota small of its namespace is used up: one more pod asks for requests.cpu=2, and requests.cpu=0 of 1 are taken",
		`pods "web-1" is forbidden: failed quota: small: must specify limits.cpu for: web`:                                           "does not say limits.cpu for: web",
		`pods "web-1" is forbidden: maximum cpu usage per Container is 1, but limit is 2`:                                            "a LimitRange of its namespace does not let its pods in: maximum cpu usage per Container is 1, but limit is 2",
		`pods "web-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`:                                  "keep to the Pod Security Standard restricted:latest, and this one does not: runAsNonRoot != true",
		`pods "web-" is forbidden: error looking up service account ns/shop: serviceaccount "shop" not found`:                        `the ServiceAccount "shop", which does not exist; there is "shops"`,
		`pods "web-" is forbidden: no PriorityClass with name urgent was found`:                                                      `the PriorityClass "urgent", which does not exist`,
		`pods "web-" is forbidden: pod rejected: RuntimeClass "vm" not found`:                                                        `the RuntimeClass "vm", which does not exist`,
		`admission webhook "guard.example.com" denied the request: no`:                                                               "the admission webhook guard.example.com refuses its pods: no",
		`Internal error occurred: failed calling webhook "guard.example.com": connection refused`:                                    "the webhook guard.example.com, which cannot be asked: connection refused",
		`Error creating: the moon is full`:                                                                                           "its pods are refused: the moon is full",
	} {
		checkAll(t, []fact{{name: want, ask: "deployment/web", state: Broken, says: want, api: aDeployment("", "") + event("web-1", "FailedCreate", message) + `---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shops}`}})
	}
	checkAll(t, []fact{{name: "when its events are forgotten", ask: "replicaset/web", state: Broken, says: "the quota small of its namespace is used up", mends: "kube-lite edit resourcequota small", api: `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
status: {conditions: [{type: ReplicaFailure, status: "True", message: 'pods "web-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'}]}`}})
}

func TestJobs(t *testing.T) {
	job := func(spec, status string) string {
		return node + `---
apiVersion: batch/v1
kind: Job
metadata: {name: report}
spec: {` + spec + `}
status: {` + status + `}
---
apiVersion: v1
kind: Pod
metadata: {name: report-a, ownerReferences: [{kind: Job, name: report, uid: uid-report, controller: true}]}
spec: {nodeName: node, containers: [{name: report}]}
status: {phase: Failed, containerStatuses: [{name: report, state: {terminated: {exitCode: 5}}}]}
`
	}
	cron := func(spec, status string) string {
		return `
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec: {` + spec + `}
status: {` + status + `}
`
	}
	checkAll(t, []fact{
		{name: "complete", ask: "job/report", state: OK, says: "is complete", api: job("", `conditions: [{type: Complete, status: "True"}]`)},
		{name: "failed too often", ask: "job/report", state: Broken, says: "container report has ended: its program ends with an error (exit code 5)",
			api: job("backoffLimit: 2", `failed: 3, conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded}]`)},
		{name: "failing this moment, a failure not counted yet", ask: "job/report", state: Broken, says: "has failed: its pods failed 2 times, and its backoffLimit is 1", api: `
apiVersion: batch/v1
kind: Job
metadata: {name: report}
spec: {backoffLimit: 1}
status: {failed: 1, uncountedTerminatedPods: {failed: [uid]}, conditions: [{type: FailureTarget, status: "True", reason: BackoffLimitExceeded}]}`},
		{name: "too late", ask: "job/report", state: Broken, says: "exit code 5", api: job("activeDeadlineSeconds: 9", `conditions: [{type: Failed, status: "True", reason: DeadlineExceeded}]`)},
		{name: "suspended", ask: "job/report", state: Broken, says: "is suspended, so it has no pods", api: job("suspend: true", "")},
		{name: "at work, after a failure", ask: "job/report", state: Broken, says: "exit code 5", api: job("", `startTime: "2026-01-01T11:00:00Z", active: 1`)},
		{name: "a schedule that never comes", ask: "cronjob/report", state: Broken, says: `its schedule "0 0 31 2 *" names a time that never comes`, api: cron(`schedule: "0 0 31 2 *"`, "")},
		{name: "suspended cron job", ask: "cronjob/report", state: Broken, says: "is suspended, so it starts no Jobs", api: cron(`schedule: "0 3 * * *", suspend: true`, "")},
		{name: "one that is due", ask: "cronjob/report", state: OK, says: "the next Job is due at 2026-01-02T03:00:00Z", api: cron(`schedule: "0 3 * * *"`, "")},
		{name: "in a time zone", ask: "cronjob/report", state: OK, says: "the next Job is due at 2026-01-02T03:00:00+09:00", api: cron(`schedule: "0 3 * * *", timeZone: Asia/Tokyo`, "")},
		{name: "one that missed its time", ask: "cronjob/report", state: Broken, says: "no Job was started when one was due: missed scheduled time",
			api: cron(`schedule: "0 3 * * *"`, "") + event("report", "MissSchedule", "missed scheduled time")},
		{name: "one whose last job failed", ask: "cronjob/daily", state: Broken, says: "has failed: its pods failed once, and its backoffLimit is 0", api: `
apiVersion: batch/v1
kind: CronJob
metadata: {name: daily}
spec: {schedule: "0 3 * * *"}
---
apiVersion: batch/v1
kind: Job
metadata: {name: daily-1, ownerReferences: [{kind: CronJob, name: daily, uid: uid-daily, controller: true}]}
spec: {backoffLimit: 0}
status: {failed: 1, conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded}]}`},
	})
}
