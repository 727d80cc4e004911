package runtime

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/prune"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// finished waits until a Pod's phase is final and wants it to have succeeded.
func (r *dockerRig) finished(name string) *v1.Pod {
	r.t.Helper()
	pod := r.await(name, "finished", func(p *v1.Pod) bool {
		return p != nil && (p.Status.Phase == v1.PodSucceeded || p.Status.Phase == v1.PodFailed)
	})
	if pod.Status.Phase != v1.PodSucceeded {
		r.t.Errorf("pod %s failed: %+v", name, pod.Status.ContainerStatuses)
	}
	return pod
}

func TestPodsOnDockerHaveWhatTheyDeclare(t *testing.T) {
	r := newDockerRig(t)
	ctx := t.Context()
	cm := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cm"}, Data: map[string]string{"color": "red"}}
	if _, err := r.client.CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	job := func(name string, change func(*v1.Pod)) {
		r.declare(name, func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever; change(p) })
	}

	t.Run("one network, and a volume shared by all users", func(t *testing.T) {
		job("shared", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
			one := r.container("one", "user=1234:5678", "write=/shared/x=hello", "listen=127.0.0.1:8080")
			two := r.container("two", "file=/shared/x=hello", "dial=127.0.0.1:8080")
			uid, gid := int64(1234), int64(5678)
			one.SecurityContext = &v1.SecurityContext{RunAsUser: &uid, RunAsGroup: &gid}
			for _, c := range []v1.Container{one, two} {
				c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/shared"}}
				p.Spec.Containers = append(p.Spec.Containers, c)
			}
		})
		r.finished("shared")
	})
	t.Run("host name, hosts, resolv.conf and variables", func(t *testing.T) {
		job("named", func(p *v1.Pod) {
			p.Spec.Hostname = "me"
			c := r.container("one", "host=me", "file=/etc/hosts=me", "file=/etc/resolv.conf=search default.svc.cluster.local",
				"file=/etc/resolv.conf=nameserver "+r.opts.DNSServer.String(), "env=COLOR=red", "env=URL=http://named/red", "file=/etc/hosts=$(IP)", "host=$(SELF)")
			c.Env = []v1.EnvVar{
				{Name: "COLOR", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}, Key: "color"}}},
				{Name: "NAME", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
				{Name: "IP", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
				{Name: "URL", Value: "http://$(NAME)/$(COLOR)"},
				{Name: "SELF", Value: "me"},
			}
			p.Spec.Containers = []v1.Container{c}
		})
		r.finished("named")
	})
	t.Run("init containers, then the others", func(t *testing.T) {
		job("init", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
			mount := []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			first, second, main := r.container("first", "write=/v/1=a"), r.container("second", "file=/v/1=a", "write=/v/2=b"), r.container("main", "file=/v/2=b")
			first.VolumeMounts, second.VolumeMounts, main.VolumeMounts = mount, mount, mount
			p.Spec.InitContainers, p.Spec.Containers = []v1.Container{first, second}, []v1.Container{main}
		})
		r.finished("init")
	})
	t.Run("a ConfigMap volume that follows its source", func(t *testing.T) {
		job("follows", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "late"}}}}}
			c := r.container("one", "file=/v/color=green")
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
			p.Spec.Containers = []v1.Container{c}
		})
		r.eventually("follows", `FailedMount: MountVolume.SetUp failed for volume "v" : configmap "late" not found`)
		late := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "late"}, Data: map[string]string{"color": "blue"}}
		if _, err := r.client.CoreV1().ConfigMaps("default").Create(ctx, late, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.await("follows", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
		late.Data["color"] = "green"
		if _, err := r.client.CoreV1().ConfigMaps("default").Update(ctx, late, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.finished("follows")
	})
	t.Run("exit code, last words, memory limit", func(t *testing.T) {
		job("fails", func(p *v1.Pod) {
			c := r.container("one", "write=/dev/termination-log=it was me", "exit=3")
			c.TerminationMessagePath = v1.TerminationMessagePathDefault
			hungry := r.container("hungry", "eat")
			hungry.Resources.Limits = v1.ResourceList{v1.ResourceMemory: resource.MustParse("16Mi")}
			p.Spec.Containers = []v1.Container{c, hungry}
		})
		pod := r.await("fails", "failed", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
		one, hungry := pod.Status.ContainerStatuses[0].State.Terminated, pod.Status.ContainerStatuses[1].State.Terminated
		if one.ExitCode != 3 || one.Message != "it was me" || one.Reason != "Error" {
			t.Errorf("one ended with %+v", one)
		}
		if hungry.Reason != "OOMKilled" || hungry.ExitCode != 137 {
			t.Errorf("hungry ended with %+v", hungry)
		}
	})
	t.Run("a program that does not exist", func(t *testing.T) {
		job("nope", func(p *v1.Pod) {
			c := r.container("one")
			c.Command = []string{"/nope"}
			p.Spec.Containers = []v1.Container{c}
		})
		pod := r.await("nope", "failed", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
		if ended := pod.Status.ContainerStatuses[0].State.Terminated; ended.Reason != "StartError" || ended.ExitCode != 128 || !strings.Contains(ended.Message, "/nope") {
			t.Errorf("ended with %+v", ended)
		}
		r.eventually("nope", "Failed: Error: failed to create") // without an ID: repeated, it is counted
	})
	t.Run("the host's network", func(t *testing.T) {
		name, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		job("host", func(p *v1.Pod) {
			p.Spec.HostNetwork = true
			p.Spec.Containers = []v1.Container{r.container("one", "host="+name)}
		})
		if pod := r.finished("host"); pod.Status.PodIP != pod.Status.HostIP {
			t.Errorf("podIP %s", pod.Status.PodIP)
		}
	})
	t.Run("the events of a kubelet", func(t *testing.T) {
		for _, want := range []string{"Pulled: Container image", "Created: Container created", "Started: Container started"} {
			r.eventually("named", want)
		}
	})
	t.Run("deleted by force while it runs", func(t *testing.T) {
		r.create("forced", r.container("one", "sleep"))
		r.await("forced", "ready", ready)
		if err := r.client.CoreV1().Pods("default").Delete(ctx, "forced", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(patience)
		for slices.ContainsFunc(r.names(), func(n string) bool { return strings.Contains(n, "_forced_") }) {
			if time.Now().After(deadline) {
				t.Fatalf("left: %v", r.names())
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	t.Run("reset leaves nothing", func(t *testing.T) {
		r.stop()
		stays := prune.All(ctx, r.engine, r.opts.Instance, r.opts.Root)
		if stays != nil && !errors.Is(stays, docker.ErrEndpointMiscounted) {
			t.Fatal(stays)
		}
		if _, err := os.Stat(pods.Dirs{Root: r.opts.Root}.All()); len(r.names()) > 0 || !os.IsNotExist(err) {
			t.Errorf("left: %v, %v", r.names(), err)
		}
		if _, ok, err := r.engine.Network(ctx, r.opts.Network.Name); ok && stays == nil || err != nil {
			t.Errorf("the network is left: %v", err)
		}
	})
}

func (r *dockerRig) names() (out []string) {
	for name := range r.containers() {
		out = append(out, name)
	}
	return out
}

// eventually waits for an event of a Pod that begins with "Reason: message".
func (r *dockerRig) eventually(pod, want string) {
	r.t.Helper()
	r.awaitMatch(pod, regexp.MustCompile("^"+regexp.QuoteMeta(want)))
}

// awaitMatch waits for an event of a Pod that matches, as "Reason: message".
func (r *dockerRig) awaitMatch(pod string, want *regexp.Regexp) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		list, err := r.client.CoreV1().Events("default").List(r.t.Context(), metav1.ListOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		var all []string
		for _, e := range list.Items {
			if e.InvolvedObject.Name == pod {
				all = append(all, e.Reason+": "+e.Message)
			}
		}
		if slices.ContainsFunc(all, want.MatchString) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("no event %q among %q", want, all)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
