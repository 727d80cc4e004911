package pods_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var web = &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1"}}

func TestLabelsOfAContainerReadBackAsItsInstance(t *testing.T) {
	labels := pods.Owner{Instance: "demo"}.Labels(web, "app", 3)
	labels[pods.LabelType], labels[pods.LabelSandboxID], labels[pods.LabelSpecHash] = pods.TypeContainer, "s1", "abc"
	labels[pods.LabelRestartGeneration] = "2"
	got, ok := pods.InstanceOf(docker.Container{ID: "c1", Labels: labels, Status: docker.StatusRunning})
	if !ok || got.Pod != pods.RefOf(web) || got.ContainerName != "app" || got.Attempt != 3 || got.RestartGeneration != 2 ||
		got.SandboxID != "s1" || got.SpecHash != "abc" || got.IsSandbox() || got.Address.IsValid() {
		t.Errorf("got %+v, %v", got, ok)
	}
	if name := pods.DockerName(got.Pod, got.ContainerName, got.Attempt); name != "k8s_app_web_shop_u1_3" {
		t.Errorf("its name is %s", name)
	}
	labels = pods.Owner{Instance: "demo"}.Labels(web, pods.SandboxName, 0)
	labels[pods.LabelAddress] = "10.244.0.7"
	if got, ok := pods.InstanceOf(docker.Container{Labels: labels}); !ok || !got.IsSandbox() || got.Address != netip.MustParseAddr("10.244.0.7") {
		t.Errorf("the sandbox is %+v, %v", got, ok)
	}
	if got, ok := pods.InstanceOf(docker.Container{Labels: map[string]string{docker.LabelInstance: "demo"}}); ok {
		t.Errorf("a container of no Pod is %+v", got)
	}
}

func TestContainerThatCouldNotBeStartedHasEnded(t *testing.T) {
	made := time.Unix(1_700_000_000, 0)
	c := docker.Container{Labels: pods.Owner{Instance: "demo"}.Labels(web, "app", 0), Status: docker.StatusCreated, Created: made, Error: "no such file"}
	failed, _ := pods.InstanceOf(c)
	if !failed.Ended() || !failed.WasStarted() || failed.ExitCode != 128 || !failed.EndedAt().Equal(made) {
		t.Errorf("got %+v", failed)
	}
	c.Error = ""
	waits, _ := pods.InstanceOf(c)
	if waits.Ended() || waits.WasStarted() || len(pods.Unstarted([]pods.Instance{failed, waits})) != 1 {
		t.Errorf("one that waits for its start is %+v", waits)
	}
}

func TestTheLastTwoInstancesOfEachContainerStay(t *testing.T) {
	var have []pods.Instance
	for attempt := range 4 {
		for _, name := range []string{pods.SandboxName, "app", "db"} {
			if name == "db" && attempt > 1 {
				continue
			}
			have = append(have, pods.Instance{ContainerName: name, Attempt: attempt, Container: docker.Container{Status: docker.StatusExited}})
		}
	}
	got := pods.Surplus(have)
	if len(got) != 2 || got[0].Attempt != 1 || got[1].Attempt != 0 || got[0].ContainerName != "app" || got[1].ContainerName != "app" {
		t.Errorf("got %+v", got)
	}
}

func TestContainersAreOfOneNode(t *testing.T) {
	pod := &v1.Pod{}
	first, second := pods.Owner{Instance: "demo"}, pods.Owner{Instance: "demo", Node: "second"}
	for _, owner := range []pods.Owner{first, second} {
		labels := owner.Labels(pod, "app", 0)
		for key, want := range owner.Filter() {
			if labels[key] != want {
				t.Errorf("%+v does not find its own container by %s: %v", owner, key, labels)
			}
		}
		if owner.Has(labels) != true || first.Has(labels) == second.Has(labels) {
			t.Errorf("%+v: %v is of the first: %v, of the second: %v", owner, labels, first.Has(labels), second.Has(labels))
		}
	}
}
