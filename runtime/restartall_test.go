package runtime

import (
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// trigger is a container upon whose exit code 42 all containers are restarted.
func trigger(name string) v1.Container {
	c, never := app(name), v1.ContainerRestartPolicyNever
	c.RestartPolicy = &never
	c.RestartPolicyRules = []v1.ContainerRestartRule{{
		Action:    v1.ContainerRestartRuleActionRestartAllContainers,
		ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: v1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
	}}
	return c
}

// family is a Pod of an init container, a sidecar, a trigger and a container that is never restarted by itself.
func family(p *v1.Pod) {
	always := v1.ContainerRestartPolicyAlways
	sidecar := app("sidecar")
	sidecar.RestartPolicy = &always
	p.Spec.RestartPolicy = v1.RestartPolicyNever
	p.Spec.InitContainers = []v1.Container{app("init"), sidecar}
	p.Spec.Containers = []v1.Container{trigger("source"), app("other")}
}

func (r *rig) wantRestarting(pod string, want v1.ConditionStatus) {
	r.t.Helper()
	status := r.get(pod).Status
	if _, c := podutil.GetPodCondition(&status, v1.AllContainersRestarting); c == nil || c.Status != want {
		r.t.Errorf("AllContainersRestarting is %v, want %s", c, want)
	}
}

func TestAllContainersAreRestartedUponTheEndOfOne(t *testing.T) {
	for what, between := range map[string]func(*rig){
		"by one agent":                        func(*rig) {},
		"by another agent than it began with": func(r *rig) { r.stop(); r.start(); r.settle() },
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("web", family)
				sandbox, ip := r.engine.get("k8s_POD_web_ns_uid-web_0").ID, ""
				for round := range 2 {
					name := func(container string) string { return pods.DockerName(pods.RefOf(r.get("web")), container, round) }
					r.engine.exit(name("init"), 0)
					r.settle()
					for _, c := range []string{"sidecar", "source", "other"} {
						r.wantState("web", c, map[int]string{0: "running 0", 1: "running 1"}[round])
					}
					r.wantRestarting("web", v1.ConditionFalse)
					if now := r.get("web").Status.PodIP; round > 0 && now != ip {
						t.Errorf("its address was %s and is %s", ip, now)
					}
					ip = r.get("web").Status.PodIP
					r.engine.exit(name("source"), 42)
					between(r)
					r.settle()
					r.wantState("web", "init", map[int]string{0: "running 1", 1: "running 2"}[round])
					r.wantState("web", "source", map[int]string{0: "waiting PodInitializing 0", 1: "waiting PodInitializing 1"}[round])
					r.wantState("web", "other", map[int]string{0: "waiting PodInitializing 0", 1: "waiting PodInitializing 1"}[round])
				}
				r.wantEvent("web", "Killing: Container other is restarted with all containers of the pod")
				if id := r.engine.get("k8s_POD_web_ns_uid-web_0").ID; id != sandbox {
					t.Error("its sandbox is another one")
				}
			})
		})
	}
}

func TestContainersAreRestartedOneByOneUponOtherCodes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", family)
		r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
		r.settle()
		r.engine.exit("k8s_source_web_ns_uid-web_0", 1)
		r.after(time.Minute)
		r.wantState("web", "source", "Error 0")
		r.wantState("web", "other", "running 0")
		r.engine.exit("k8s_other_web_ns_uid-web_0", 0)
		r.after(time.Minute)
		if s := r.get("web").Status; s.Phase != v1.PodFailed {
			t.Errorf("phase %s", s.Phase)
		}
		r.wantRestarting("web", v1.ConditionFalse)
	})
}

func TestInitContainerRestartsAllContainersToo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.InitContainers = []v1.Container{app("first"), trigger("second")}
		})
		r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
		r.settle()
		r.engine.exit("k8s_second_web_ns_uid-web_0", 42)
		r.settle()
		r.wantState("web", "first", "running 1")
		r.engine.exit("k8s_first_web_ns_uid-web_1", 0)
		r.settle()
		r.engine.exit("k8s_second_web_ns_uid-web_1", 0)
		r.settle()
		r.wantState("web", "app", "running 0")
	})
}

func TestPodThatIsDeletedIsNotShownAsRestarting(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.Containers = []v1.Container{trigger("source"), app("other")}
		})
		r.engine.mu.Lock()
		r.engine.stopDelay = time.Hour // no signal ends anything
		r.engine.mu.Unlock()
		r.delete("web", 30)
		r.engine.exit("k8s_source_web_ns_uid-web_0", 42)
		r.settle()
		r.wantState("web", "source", "Error 0")
		r.wantState("web", "other", "running 0")
		r.wantRestarting("web", v1.ConditionFalse)
	})
}

// helped is a Pod with a sidecar upon whose end, also by a signal, all containers are restarted.
func helped(p *v1.Pod) {
	always, sidecar := v1.ContainerRestartPolicyAlways, trigger("sidecar")
	sidecar.RestartPolicy, sidecar.RestartPolicyRules[0].ExitCodes.Values = &always, []int32{0, 137}
	p.Spec.RestartPolicy = v1.RestartPolicyNever
	p.Spec.InitContainers = []v1.Container{sidecar}
}

func TestSidecarRestartsAllContainersUnlessItEndsWithItsPod(t *testing.T) {
	for what, c := range map[string]struct {
		change  func(*v1.Pod)
		first   string // ends by itself, with
		code    int
		between func(*rig)
		want    []string // the sidecar's state and the app's
		phase   v1.PodPhase
	}{
		"in the midst of it":             {helped, "sidecar", 0, func(*rig) {}, []string{"running 1", "running 1"}, v1.PodRunning},
		"in the midst, and a new agent":  {helped, "sidecar", 0, func(r *rig) { r.stop(); r.start() }, []string{"running 1", "running 1"}, v1.PodRunning},
		"after the others":               {helped, "app", 0, func(*rig) {}, []string{"Completed 0", "Completed 0"}, v1.PodSucceeded},
		"after the others failed":        {helped, "app", 1, func(*rig) {}, []string{"Completed 0", "Error 0"}, v1.PodFailed},
		"after an init container failed": {func(p *v1.Pod) { helped(p); p.Spec.InitContainers = append(p.Spec.InitContainers, app("init")) }, "init", 1, func(*rig) {}, []string{"Completed 0", "waiting PodInitializing 0"}, v1.PodFailed},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("web", c.change)
				r.engine.mu.Lock()
				if c.phase == v1.PodRunning { // else it may end before the API knows that the Pod is over
					r.engine.stopDelay = time.Second
				}
				r.engine.mu.Unlock()
				r.engine.exit("k8s_"+c.first+"_web_ns_uid-web_0", c.code)
				c.between(r)
				r.after(time.Minute)
				for n, container := range []string{"sidecar", "app"} {
					r.wantState("web", container, c.want[n])
				}
				if got := r.get("web").Status.Phase; got != c.phase {
					t.Errorf("phase %s", got)
				}
			})
		})
	}
}

// The agent may be killed before the API knows that the Pod is over.
