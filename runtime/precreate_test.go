package runtime

import (
	"slices"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withInit declares an init container, and an app with a variable from the ConfigMap cm.
func withInit(p *v1.Pod) {
	p.Spec.InitContainers = []v1.Container{app("first")}
	p.Spec.Containers[0].Env = []v1.EnvVar{{Name: "COLOR", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{
		LocalObjectReference: v1.LocalObjectReference{Name: "cm"}, Key: "color",
	}}}}
}

// color makes or changes the ConfigMap cm.
func (r *rig) color(value string) {
	r.t.Helper()
	maps := r.client.CoreV1().ConfigMaps("ns")
	m := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cm"}, Data: map[string]string{"color": value}}
	_, err := maps.Update(r.t.Context(), m, metav1.UpdateOptions{})
	if err != nil {
		_, err = maps.Create(r.t.Context(), m, metav1.CreateOptions{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

func TestContainersAreCreatedWhileInitContainersRun(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.color("red")
		r.pod("web", withInit)
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_0 created", "k8s_first_web_ns_uid-web_0 running")
		r.wantState("web", "app", "waiting PodInitializing 0")
		if s := pods.ContainerStatus(r.get("web"), "app"); s.ContainerID != "" {
			t.Errorf("a container that waits for its turn has the ID %s", s.ContainerID)
		}
		if told := r.reasons("web"); len(told) != 3 { // of the init container: Pulled, Created, Started
			t.Errorf("events before its turn: %q", told)
		}
		r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
		r.settle()
		r.wantState("web", "app", "running 0")
		if did := r.engine.history(); len(did) != 6 { // three are created, and each is started
			t.Errorf("Docker did %q", did)
		}
		if told := r.reasons("web"); len(told) != 6 || !strings.HasPrefix(told[3], "Pulled") || !strings.HasPrefix(told[4], "Created") {
			t.Errorf("events %q", told)
		}
	})
}

func TestContainerIsMadeAnewIfItWouldBeAnotherByNow(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"its ConfigMap changed":    func(r *rig) { r.color("blue") },
		"the daemon was restarted": func(r *rig) { r.color("blue"); r.stop(); r.start() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.color("red")
				r.pod("web", withInit)
				change(r)
				r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
				r.settle()
				r.wantState("web", "app", "running 0")
				if env := r.engine.get("k8s_app_web_ns_uid-web_0").spec.Env; !slices.Contains(env, "COLOR=blue") {
					t.Errorf("environment %q", env)
				}
			})
		})
	}
}

func TestContainerIsNotCreatedAheadIfInitContainersMayHaveASayInIt(t *testing.T) {
	shared := []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	for name, change := range map[string]func(*v1.Container){
		"a directory of a volume": func(c *v1.Container) {
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v", SubPath: "made"}}
		},
		"an expanded path": func(c *v1.Container) {
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v", SubPathExpr: "made"}}
		},
		"a file of variables": func(c *v1.Container) {
			c.Env = []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: "v", Path: "env", Key: "X"}}}}
		},
		"an image to pull": func(c *v1.Container) { c.ImagePullPolicy = v1.PullAlways },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("web", func(p *v1.Pod) {
					p.Spec.InitContainers, p.Spec.Volumes = []v1.Container{app("first")}, shared
					change(&p.Spec.Containers[0])
				})
				r.wantState("web", "first", "running 0")
				r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_first_web_ns_uid-web_0 running")
			})
		})
	}
}

func TestWhatKeepsAContainerFromBeingCreatedIsToldInItsTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", withInit)
		r.wantState("web", "first", "running 0")
		r.wantState("web", "app", "waiting PodInitializing 0")
		r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
		r.settle()
		r.wantState("web", "app", "waiting CreateContainerConfigError 0")
		r.color("red")
		r.after(configRetry)
		r.wantState("web", "app", "running 0")
	})
}

func TestNothingStaysOfAContainerWhoseTurnNeverComes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.color("red")
		r.pod("job", func(p *v1.Pod) { withInit(p); p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.exit("k8s_first_job_ns_uid-job_0", 1)
		r.settle()
		r.wantNames("k8s_first_job_ns_uid-job_0 exited")
		r.wantState("job", "app", "waiting PodInitializing 0")
	})
}
