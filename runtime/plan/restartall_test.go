package plan

import (
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

func TestSidecarThatEndedWithItsPodRestartsNothing(t *testing.T) {
	always := v1.ContainerRestartPolicyAlways
	pod := testPod()
	pod.Spec.RestartPolicy, pod.Status.Phase = v1.RestartPolicyNever, v1.PodRunning
	pod.Spec.InitContainers = []v1.Container{{Name: "sidecar", RestartPolicy: &always, RestartPolicyRules: []v1.ContainerRestartRule{{
		Action:    v1.ContainerRestartRuleActionRestartAllContainers,
		ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{0, 137}},
	}}}}
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	end := func(container string, after time.Duration) pods.Instance {
		return pods.Instance{
			ContainerName: container, SpecHash: pods.SpecHash(pod, pods.Container(pod, container)),
			Container: docker.Container{ID: "id", Status: docker.StatusExited, Created: began, StartedAt: began, FinishedAt: began.Add(after)},
		}
	}
	if got := restartGenerationOf(pod, []pods.Instance{end("sidecar", 2*time.Second), end("app", time.Second)}); got != 0 {
		t.Errorf("after the others: generation %d", got)
	}
	if got := restartGenerationOf(pod, []pods.Instance{end("sidecar", time.Second), end("app", 2*time.Second)}); got != 1 {
		t.Errorf("before another one: generation %d", got)
	}
	again := end("sidecar", 2*time.Second)
	again.RestartGeneration, again.Attempt = 1, 1
	if got := restartGenerationOf(pod, []pods.Instance{end("app", time.Second), again}); got != 2 {
		t.Errorf("before another one is begun again: generation %d", got)
	}
}
