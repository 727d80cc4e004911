package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

func TestIndexedJobWithAnIndexThatFails(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "indexed")
	ns.apply(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: indexed}
spec:
  completions: 4
  parallelism: 4
  completionMode: Indexed
  backoffLimitPerIndex: 1
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: "kube-lite-test/shell:latest", imagePullPolicy: Never, command: [sh, -c, 'echo "I am $(hostname)"; test "$JOB_COMPLETION_INDEX" != 2']}
`)
	ns.waitForValue(t, "job/indexed", `{.status.conditions[?(@.type=="Failed")].status} {.status.conditions[?(@.type=="Failed")].reason}`, "True FailedIndexes")
	if got := ns.value(t, "job/indexed", "{.status.completedIndexes}; {.status.failedIndexes}"); got != "0,1,3; 2" {
		t.Errorf("completed and failed indexes are %q, want 0,1,3; 2", got)
	}
	if got := ns.value(t, "job/indexed", "{.status.succeeded} {.status.failed}"); got != "3 2" {
		t.Errorf("Pods that succeeded and that failed are %q, want 3 and, with the second attempt at index 2, 2", got)
	}
	if got := ns.must(t, "logs", "--selector=batch.kubernetes.io/job-completion-index=3"); got != "I am indexed-3\n" {
		t.Errorf("index 3 says %q", got)
	}
}

// The sidecar serves until the work is done, and does not keep the Job from its end. It takes its time to end itself, and
// the Job is not complete before that.
func TestJobWithSidecarsCompletes(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "sidecars")
	ns.apply(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: asks}
spec:
  completions: 2
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      initContainers:
      - name: sidecar
        image: gihyodocker/echo:latest
        imagePullPolicy: Never
        restartPolicy: Always
        startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
      containers:
      - {name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [http-get, "http://localhost:8080"]}
`)
	ns.must(t, "wait", "--for=condition=Complete", "job/asks", "--timeout=60s")
	if got, want := ns.must(t, "logs", "--selector=job-name=asks", "--container=main"), greeting+"\n"+greeting+"\n"; got != want {
		t.Errorf("the Pods say %q, want %q", got, want)
	}
	if got := ns.value(t, "job/asks", "{.status.succeeded} {.status.failed}"); got != "2 " {
		t.Errorf("Pods that succeeded and that failed are %q, want 2 and none", got)
	}
	const sidecars = "{.items[*].status.initContainerStatuses[0].state.terminated.reason} {.items[*].status.initContainerStatuses[0].restartCount}"
	if got := ns.value(t, "pods", sidecars); got != "Completed Completed 0 0" {
		t.Errorf("the sidecars' ends and restarts are %q", got)
	}
}

// A CronJob's Jobs are named after the minute that they are for.
func TestCronJobOverTwoTicks(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "cronjob")
	ns.apply(t, `
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  startingDeadlineSeconds: 30
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [print, tick]}]
`)
	var minutes []int
	for ticks := 1; ticks <= 2; ticks++ {
		eventually(t, func() (err error) {
			if minutes, err = ns.ticks(t); err == nil && len(minutes) < ticks {
				err = fmt.Errorf("Jobs ran for the minutes %v, want %d", minutes, ticks)
			}
			return err
		})
	}
	if len(minutes) != 2 || minutes[1] != minutes[0]+1 {
		t.Errorf("Jobs ran for the minutes %v, want two that follow each other", minutes)
	}
	ns.must(t, "patch", "cronjob", "tick", "--patch", `{"spec": {"suspend": true}}`)
	ns.must(t, "create", "job", "by-hand", "--from=cronjob/tick")
	ns.must(t, "wait", "--for=condition=Complete", "job/by-hand", "--timeout=60s")
	ns.must(t, "delete", "cronjob", "tick")
	ns.waitUntilGone(t)
}

// ticks returns the minutes since 1970 for which the CronJob tick has completed Jobs.
func (n namespace) ticks(t *testing.T) (minutes []int, err error) {
	t.Helper()
	jobs := n.must(t, "get", "jobs", "--sort-by=.metadata.creationTimestamp", "-o", `jsonpath={range .items[?(@.status.succeeded==1)]}{.metadata.name}{"\n"}{end}`)
	for _, match := range regexp.MustCompile(`(?m)^tick-(\d+)$`).FindAllStringSubmatch(jobs, -1) {
		minute, err := strconv.Atoi(match[1])
		if err != nil {
			return nil, err
		}
		minutes = append(minutes, minute)
	}
	return minutes, nil
}
