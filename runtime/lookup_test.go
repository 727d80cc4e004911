package runtime

import (
	"errors"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ktesting "k8s.io/client-go/testing"
)

func TestContainerIsFoundByItsPodAndName(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		want := r.engine.get("k8s_app_web_ns_uid-web_1").ID
		for _, uid := range []types.UID{"", "uid-web"} {
			if got, err := r.lookup().containerID("ns", "web", uid, "app"); err != nil || got != want {
				t.Errorf("uid %q: got %s, %v, want the latest, %s", uid, got, err, want)
			}
		}
		if got, err := r.lookup().containerID("ns", "web", "uid-other", "app"); err == nil {
			t.Errorf("another Pod's: %s", got)
		}
		if _, err := r.lookup().containerID("ns", "none", "", "app"); err == nil || err.Error() != `pod "none" not found` {
			t.Errorf("no such pod: %v", err)
		}
	})
}

func TestWhoAsksForLogsIsAnsweredByTheNewestStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.client.PrependReactor("update", "pods", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("the API takes nothing")
		})
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		pod, ok := r.lookup().Pod("ns", "web")
		if was := r.get("web").Status.ContainerStatuses[0].RestartCount; !ok || was != 0 || pod.Status.ContainerStatuses[0].RestartCount != 1 {
			t.Errorf("the API has %d restarts, the agent %+v", was, pod.Status.ContainerStatuses)
		}
		if _, ok := r.lookup().Pod("ns", "none"); ok {
			t.Error("a Pod that is not there was found")
		}
	})
}

func TestOutputIsHeldForWhoMakesAContainerToTalkTo(t *testing.T) {
	stdin, once := v1.Container{Name: "c", Stdin: true}, v1.Container{Name: "c", Stdin: true, StdinOnce: true}
	debugger := v1.PodSpec{EphemeralContainers: []v1.EphemeralContainer{{EphemeralContainerCommon: v1.EphemeralContainerCommon{Name: "c"}}}}
	for what, c := range map[string]struct {
		spec      v1.PodSpec
		container v1.Container
		want      bool
	}{
		"kubectl run -i":                  {v1.PodSpec{}, once, true},
		"kubectl debug -i of a pod":       {debugger, stdin, true},
		"kubectl debug -i of a node":      {v1.PodSpec{RestartPolicy: v1.RestartPolicyNever}, stdin, true},
		"a debugger without input":        {debugger, v1.Container{Name: "c"}, false},
		"a server that has a console too": {v1.PodSpec{RestartPolicy: v1.RestartPolicyAlways}, stdin, false},
	} {
		if got := hasOneClient(&v1.Pod{Spec: c.spec}, &c.container); got != c.want {
			t.Errorf("%s: got %t", what, got)
		}
	}
}

// lookup is what the streams ask of.
func (r *rig) lookup() lookup { return lookup{r.agent.pods, r.agent.statuses, r.agent.mirror} }
