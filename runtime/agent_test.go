package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodComesUpWithItsStatusAndEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{app("one"), app("two")} })
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_one_web_ns_uid-web_0 running", "k8s_two_web_ns_uid-web_0 running")
		pod := r.get("web")
		if pod.Status.Phase != v1.PodRunning || !status.IsReady(pod.Status) || pod.Status.PodIP == "" || pod.Status.HostIP != "10.244.0.1" ||
			pod.Status.QOSClass != v1.PodQOSBestEffort || pod.Status.StartTime == nil || pod.Status.ObservedGeneration != 1 {
			t.Errorf("status %+v", pod.Status)
		}
		for _, want := range []string{
			`Pulled: Container image "app:1" already present on machine and can be accessed by the pod`,
			"Created: Container created", "Started: Container started",
		} {
			r.wantEvent("web", want)
		}
	})
}

func TestRestartedAgentAdoptsWhatRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		before := r.get("web")
		r.engine.history()
		r.stop()
		r.start()
		if acts := r.engine.history(); len(acts) > 0 {
			t.Errorf("it did %q", acts)
		}
		if after := r.get("web"); after.Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID || !status.IsReady(after.Status) {
			t.Errorf("status %+v", after.Status)
		}
	})
}

func TestRestartedAgentStartsWhatWasCreatedOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.startErr = nil
		r.pod("web", nil)
		r.stop()
		// As if the daemon had been killed between create and start of the container.
		c := r.engine.get("k8s_app_web_ns_uid-web_0")
		c.Status, c.StartedAt = "created", time.Time{}
		r.start()
		r.wantState("web", "app", "running 0")
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_0 running")
	})
}

func TestOrphansOfAnEarlierLifeAreRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.stop()
		r.delete("web", 0)
		dir := r.agent.dirs.Pod("uid-web")
		r.start()
		r.wantNames()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("directory %s is left", dir)
		}
	})
}

func TestDockerdRestartBringsPodsBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.crash()
		r.after(15 * time.Second)
		node, err := r.client.CoreV1().Nodes().Get(t.Context(), "node", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := nodeReady(node); c.Status != v1.ConditionFalse {
			t.Errorf("the node is %v while Docker is down", c)
		}
		r.engine.recover()
		r.after(5 * time.Second)
		r.wantState("web", "app", "running 1")
		node, _ = r.client.CoreV1().Nodes().Get(t.Context(), "node", metav1.GetOptions{})
		if c := nodeReady(node); c.Status != v1.ConditionTrue {
			t.Errorf("the node is %v though Docker is back", c)
		}
	})
}

// dockerd that is told to stop closes its socket, then ends the containers while its
// event stream still stands.
func TestNothingIsRestartedByADockerdThatIsStopping(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.mu.Lock()
		r.engine.closing = true
		r.engine.mu.Unlock()
		r.engine.exit("k8s_app_web_ns_uid-web_0", 143)
		r.settle()
		r.engine.crash()
		r.after(15 * time.Second)
		r.engine.recover()
		r.after(15 * time.Second)
		r.wantState("web", "app", "running 1") // one restart counted for one restart
	})
}

func nodeReady(node *v1.Node) v1.NodeCondition {
	for _, c := range node.Status.Conditions {
		if c.Type == v1.NodeReady {
			return c
		}
	}
	return v1.NodeCondition{}
}

func TestCrashingContainerBacksOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		crash := func(attempt string) { r.engine.exit("k8s_app_web_ns_uid-web_"+attempt, 1); r.settle() }
		crash("0")
		r.wantState("web", "app", "running 1") // the first restart does not wait
		crash("1")
		r.wantState("web", "app", "waiting CrashLoopBackOff 1")
		r.wantEvent("web", "BackOff: Back-off restarting failed container app in pod web_ns(uid-web)")
		r.after(8 * time.Second)
		r.wantState("web", "app", "waiting CrashLoopBackOff 1")
		r.after(2 * time.Second)
		r.wantState("web", "app", "running 2")
		crash("2")
		r.after(15 * time.Second)
		r.wantState("web", "app", "waiting CrashLoopBackOff 2")
		r.after(5 * time.Second)
		r.wantState("web", "app", "running 3")
		r.after(11 * time.Minute) // that long without an end makes it new
		crash("3")
		r.wantState("web", "app", "running 4")
		if last := r.get("web").Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 1 || last.Reason != "Error" {
			t.Errorf("last state %+v", last)
		}
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_3 exited", "k8s_app_web_ns_uid-web_4 running")
	})
}

func TestRestartPolicyDecidesThePhase(t *testing.T) {
	for _, c := range []struct {
		policy v1.RestartPolicy
		code   int
		phase  v1.PodPhase
		state  string
	}{
		{v1.RestartPolicyNever, 0, v1.PodSucceeded, "Completed 0"},
		{v1.RestartPolicyNever, 3, v1.PodFailed, "Error 0"},
		{v1.RestartPolicyOnFailure, 0, v1.PodSucceeded, "Completed 0"},
		{v1.RestartPolicyOnFailure, 3, v1.PodRunning, "running 1"},
		{v1.RestartPolicyAlways, 0, v1.PodRunning, "running 1"},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("job", func(p *v1.Pod) { p.Spec.RestartPolicy = c.policy })
				r.engine.exit("k8s_app_job_ns_uid-job_0", c.code)
				r.settle()
				r.wantState("job", "app", c.state)
				if phase := r.get("job").Status.Phase; phase != c.phase {
					t.Errorf("phase %s, want %s", phase, c.phase)
				}
				if c.phase != v1.PodRunning {
					r.wantNames("k8s_app_job_ns_uid-job_0 exited") // its logs stay, its sandbox goes
				}
			})
		})
	}
}

func TestInitContainersRunInOrderBeforeTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.InitContainers = []v1.Container{app("first"), app("second")} })
		r.wantState("web", "first", "running 0")
		r.wantState("web", "second", "waiting PodInitializing 0")
		r.wantState("web", "app", "waiting PodInitializing 0")
		if phase := r.get("web").Status.Phase; phase != v1.PodPending {
			t.Errorf("phase %s", phase)
		}
		r.engine.exit("k8s_first_web_ns_uid-web_0", 1)
		r.settle()
		r.wantState("web", "first", "running 1")
		r.engine.exit("k8s_first_web_ns_uid-web_1", 0)
		r.settle()
		r.wantState("web", "second", "running 0")
		r.engine.exit("k8s_second_web_ns_uid-web_0", 0)
		r.settle()
		r.wantState("web", "app", "running 0")
		r.wantState("web", "second", "Completed 0")
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		r.wantState("web", "second", "Completed 0") // they are not run again
		r.wantState("web", "app", "running 1")
	})
}

func TestFailedInitContainerFailsAPodThatNeverRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.InitContainers = []v1.Container{app("first")}
		})
		r.engine.exit("k8s_first_job_ns_uid-job_0", 1)
		r.settle()
		if phase := r.get("job").Status.Phase; phase != v1.PodFailed {
			t.Errorf("phase %s", phase)
		}
		r.wantNames("k8s_first_job_ns_uid-job_0 exited")
	})
}

func TestSidecarRunsBesideTheOthersAndEndsWithThem(t *testing.T) {
	always := v1.ContainerRestartPolicyAlways
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			sidecar := app("sidecar")
			sidecar.RestartPolicy = &always
			p.Spec.InitContainers = []v1.Container{sidecar, app("first")}
		})
		r.wantState("job", "sidecar", "running 0")
		r.wantState("job", "first", "running 0")
		r.engine.exit("k8s_first_job_ns_uid-job_0", 0)
		r.settle()
		r.wantState("job", "app", "running 0")
		r.engine.exit("k8s_sidecar_job_ns_uid-job_0", 1)
		r.settle()
		r.wantState("job", "sidecar", "running 1")
		r.engine.exit("k8s_app_job_ns_uid-job_0", 0)
		r.after(time.Minute)
		if phase := r.get("job").Status.Phase; phase != v1.PodSucceeded {
			t.Errorf("phase %s", phase)
		}
		if names := r.engine.names(); slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, "running") }) {
			t.Errorf("Docker has %q", names)
		}
	})
}

func TestContainerThatCannotBeStartedSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.startErr = failStart("app", `exec: "nope": executable file not found in $PATH`)
		r.pod("web", nil)
		r.after(2 * time.Second)
		pod := r.get("web")
		r.wantEvent("web", "Failed: Error: exec: \"nope\": executable file not found in $PATH")
		last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated
		if last == nil || last.Reason != "StartError" || last.ExitCode != 128 || !strings.Contains(last.Message, "not found") {
			t.Errorf("last state %+v", last)
		}
		if state := r.state("web", "app"); !strings.HasPrefix(state, "waiting CrashLoopBackOff") {
			t.Errorf("state %q", state)
		}
	})
}

func TestContainerRemovedByHandComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		if err := r.engine.Remove(t.Context(), "k8s_app_web_ns_uid-web_0"); err != nil {
			t.Fatal(err)
		}
		r.after(externalKillPause)
		r.wantState("web", "app", "running 1")
	})
}

// Whatever the restart policy says of containers that end by themselves.
func TestChangedImageReplacesTheContainer(t *testing.T) {
	for _, policy := range []v1.RestartPolicy{v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.engine.build("app:2")
			r.pod("web", func(p *v1.Pod) { p.Spec.RestartPolicy = policy })
			pod := r.get("web").DeepCopy()
			pod.Spec.Containers[0].Image, pod.Generation = "app:2", 2
			if _, err := r.client.CoreV1().Pods("ns").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			r.settle()
			r.wantState("web", "app", "running 1")
			r.wantEvent("web", "Killing: Container app definition changed, will be restarted")
			if image := r.engine.get("k8s_app_web_ns_uid-web_1").Image; image != "app:2" {
				t.Errorf("it runs %s", image)
			}
		})
	}
}

func TestFieldsThatAreIgnoredAreNamedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu"}} })
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		count := 0
		for _, e := range r.reasons("web") {
			if e == "UnsupportedField: spec.resourceClaims is not supported yet and is ignored" {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%d such events among %q", count, r.reasons("web"))
		}
	})
}

func TestSandboxThatFailsIsTriedAgainWithoutCountingRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.startErr = failStart(pods.SandboxName, "port is already allocated")
		r.pod("web", nil)
		r.after(20 * time.Second)
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.wantEvent("web", "FailedCreatePodSandBox: Failed to create pod sandbox: port is already allocated")
		r.engine.mu.Lock()
		r.engine.startErr = nil
		r.engine.mu.Unlock()
		r.after(time.Minute)
		r.wantState("web", "app", "running 0")
		if names := r.engine.names(); len(names) != 2 {
			t.Errorf("Docker has %q", names)
		}
	})
}

func TestHostsFileThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		file := filepath.Join(r.agent.dirs.Pod("uid-web"), files.HostsFile)
		var once sync.Once
		r.step = func(act string) {
			if act == "started" { // the sandbox
				once.Do(func() {
					if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o755)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		r.pod("web", nil)
		r.wantState("web", "app", "waiting ContainerCreating 0")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		r.after(retryMax)
		r.wantState("web", "app", "running 0")
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "10.244.0.") {
			t.Errorf("the container does not find itself, %v, in\n%s", err, text)
		}
	})
}

func TestPodStartAsksDockerOncePerContainer(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		before := r.engine.inspected()
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{app("one"), app("two")} })
		if n := r.engine.inspected() - before; n != 3 {
			t.Errorf("%d inspects for 3 containers", n)
		}
	})
}
