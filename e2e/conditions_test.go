package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditionsOf are a Pod's phase and conditions, each with its reason where it has one.
func conditionsOf(pod *corev1.Pod) string {
	words := []string{string(pod.Status.Phase)}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		for _, c := range pod.Status.Conditions {
			if c.Type == kind {
				words = append(words, strings.TrimSuffix(fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason), "/"))
			}
		}
	}
	return strings.Join(words, " ")
}

// Each of these is seen by whoever watches a Pod that is started and does its work, in this order.
func TestConditionsTellHowFarAPodIs(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "conditions")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watcher, err := ns.in.client(t).CoreV1().Pods(ns.name).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	ns.apply(t, podOf("works", `restartPolicy: Never, initContainers: [{name: init, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [sleep, 1s]}]`, "args: [sleep, 1s]"))
	var seen []string
	for len(seen) == 0 || !strings.HasPrefix(seen[len(seen)-1], "Succeeded") || strings.Contains(seen[len(seen)-1], "StartContainers=True") {
		event, ok := <-watcher.ResultChan()
		if !ok {
			t.Fatalf("the watch ended: %v; it saw\n%s", ctx.Err(), strings.Join(seen, "\n"))
		}
		if now := conditionsOf(event.Object.(*corev1.Pod)); len(seen) == 0 || seen[len(seen)-1] != now {
			seen = append(seen, now)
		}
	}
	const notReady = " ContainersReady=False/ContainersNotReady Ready=False/ContainersNotReady"
	want := []string{
		"Pending",
		"Pending PodScheduled=True",
		"Pending PodScheduled=True PodReadyToStartContainers=True Initialized=False/ContainersNotInitialized" + notReady,
		"Running PodScheduled=True PodReadyToStartContainers=True Initialized=True ContainersReady=True Ready=True",
		"Succeeded PodScheduled=True PodReadyToStartContainers=False Initialized=True/PodCompleted ContainersReady=False/PodCompleted Ready=False/PodCompleted",
	}
	rest := seen
	for _, w := range want {
		at := slices.Index(rest, w)
		if at < 0 {
			t.Fatalf("not seen, or too late: %s\nThe watch saw\n%s", w, strings.Join(seen, "\n"))
		}
		rest = rest[at+1:]
	}
}
