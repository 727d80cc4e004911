package pods_test

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

func TestStatusOfAContainerThatWasRemovedDecidesWhatFollows(t *testing.T) {
	ended := func(code int32) v1.ContainerState {
		return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code}}
	}
	waits := v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	for _, test := range []struct {
		name              string
		status            *v1.ContainerStatus
		policy            v1.RestartPolicy
		removed, restarts bool
		attempt           int
	}{
		{"it never ran", nil, v1.RestartPolicyAlways, false, false, 0},
		{"it waited for its first run", &v1.ContainerStatus{State: waits}, v1.RestartPolicyAlways, false, false, 0},
		{"it ran", &v1.ContainerStatus{RestartCount: 1, State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}, v1.RestartPolicyOnFailure, true, true, 2},
		{"it succeeded", &v1.ContainerStatus{State: ended(0)}, v1.RestartPolicyOnFailure, true, false, 1},
		{"it failed", &v1.ContainerStatus{State: ended(1)}, v1.RestartPolicyOnFailure, true, true, 1},
		{"it failed for good", &v1.ContainerStatus{State: ended(1)}, v1.RestartPolicyNever, true, false, 1},
		{"it waited to run again", &v1.ContainerStatus{RestartCount: 2, State: waits, LastTerminationState: ended(0)}, v1.RestartPolicyNever, true, true, 3},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{RestartPolicy: test.policy, Containers: []v1.Container{{Name: "app"}}}}
		if test.status != nil {
			test.status.Name = "app"
			pod.Status.ContainerStatuses = []v1.ContainerStatus{*test.status}
		}
		removed := pods.WasRemoved(pod, "app")
		if removed != test.removed || pods.FirstAttempt(pod, "app") != test.attempt {
			t.Errorf("%s: removed %v, next attempt %d", test.name, removed, pods.FirstAttempt(pod, "app"))
		}
		if removed && pods.RestartsRemoved(pod, &pod.Spec.Containers[0]) != test.restarts {
			t.Errorf("%s: want restarts %v", test.name, test.restarts)
		}
	}
}
