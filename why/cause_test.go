package why

import "testing"

// A cause is named where time alone does not mend what is wrong, and nowhere else.
func TestCauses(t *testing.T) {
	waits := func(reason, message string) string {
		return onNode(`state: {waiting: {reason: `+reason+`, message: `+quote(message)+`}}`, "")
	}
	crashed := func(restarts string) string {
		return onNode(`restartCount: `+restarts+`, state: {waiting: {reason: CrashLoopBackOff, message: m}}, lastState: {terminated: {exitCode: 1, reason: Error}}`, "")
	}
	const unbound = node + `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, resources: {requests: {memory: 8Gi}}}]}
status: {phase: Pending`
	for _, f := range []struct {
		name, ask, api string
		want           Cause
	}{
		{"an image that its registry does not have", "pod/web", waits("ImagePullBackOff", "manifest unknown"), ImageMissing},
		{"an image that nobody may have", "pod/web", waits("ErrImagePull", "pull access denied for shop/web"), ImageMissing},
		{"an image that is not here and not to be pulled", "pod/web", waits("ErrImageNeverPull", "is not present"), ImageMissing},
		{"an image with an impossible name", "pod/web", waits("InvalidImageName", "invalid reference format"), ImageMissing},
		{"a registry that is away", "pod/web", waits("ErrImagePull", "dial tcp: lookup registry: no such host"), RegistryUnreachable},
		{"a disk that is full", "pod/web", waits("ErrImagePull", "no space left on device"), ""},
		{"a program that ended twice", "pod/web", crashed("2"), ""},
		{"a program that ended after three restarts", "pod/web", crashed("3"), CrashLoop},
		{"a container that is being made", "pod/web", waits("ContainerCreating", ""), ""},
		{"a ConfigMap that is not there yet", "pod/web", waits("CreateContainerConfigError", `configmap "web" not found`), ""},
		{"no node", "pod/web", unbound + `, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: "0/1 nodes are available: 1 Insufficient memory."}]}`, Unschedulable},
		{"not looked at yet", "pod/web", unbound + "}", ""},
		{"a quota", "replicaset/web", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec: {replicas: 1}
` + event("web", "FailedCreate", `pods "web-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`), Refused},
	} {
		t.Run(f.name, func(t *testing.T) {
			got, err := cluster(t, fact{api: f.api}).ask(f.ask)
			if err != nil {
				t.Fatal(err)
			}
			if got.Last().Cause != f.want {
				t.Errorf("the cause is %q, want %q: %+v", got.Last().Cause, f.want, got.Last())
			}
		})
	}
}
