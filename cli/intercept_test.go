package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	goruntime "runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

// intercepted is a Service, its pod, and what the pod's environment is made of.
func intercepted() (*corev1.Service, *fake.Clientset) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	svc := &corev1.Service{ObjectMeta: meta("web")}
	svc.Spec.Selector = map[string]string{"app": "web"}
	pod := &corev1.Pod{ObjectMeta: meta("web-1")}
	pod.Labels = svc.Spec.Selector
	pod.Spec.NodeName, pod.Spec.ServiceAccountName = "n1", "robot"
	pod.Status.PodIP, pod.Status.PodIPs = "10.244.0.2", []corev1.PodIP{{IP: "10.244.0.2"}, {IP: "fd00::2"}}
	local := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	pod.Spec.Containers = []corev1.Container{{
		Name:      "app",
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("64Mi")}},
		EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("all")}, Prefix: "P_"},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("none"), Optional: ptr.To(true)}},
		},
		Env: []corev1.EnvVar{
			{Name: "HOST", Value: "db"}, {Name: "URL", Value: "pg://$(HOST)/$$(x)"}, {Name: "P_b", Value: "mine"},
			{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("keys"), Key: "token"}}},
			{Name: "MODE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("all"), Key: "b"}}},
			{Name: "ABSENT", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("all"), Key: "z", Optional: ptr.To(true)}}},
			{Name: "POD", ValueFrom: field("metadata.name")}, {Name: "APP", ValueFrom: field("metadata.labels['app']")},
			{Name: "NODE", ValueFrom: field("spec.nodeName")}, {Name: "IPS", ValueFrom: field("status.podIPs")},
			{Name: "MEMORY", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		},
	}, {
		Name: "sidecar", Env: []corev1.EnvVar{{Name: "NEEDS", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("keys"), Key: "z"}}}},
	}}
	other := pod.DeepCopy()
	other.Name, other.Labels = "other", nil
	return svc, fake.NewClientset(pod, other,
		&corev1.ConfigMap{ObjectMeta: meta("all"), Data: map[string]string{"a": "1\n2", "b": "dev"}},
		&corev1.Secret{ObjectMeta: meta("keys"), Data: map[string][]byte{"token": []byte("it's $secret")}})
}

func TestTheEnvironmentOfAPodIsFound(t *testing.T) {
	svc, client := intercepted()
	got, err := (&environment{client: client}).of(t.Context(), svc, "")
	want := []variable{
		{"P_a", "1\n2"}, {"P_b", "mine"}, {"HOST", "db"}, {"URL", "pg://db/$(x)"}, {"TOKEN", "it's $secret"}, {"MODE", "dev"},
		{"POD", "web-1"}, {"APP", "web"}, {"NODE", "n1"}, {"IPS", "10.244.0.2,fd00::2"}, {"MEMORY", "64"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%q, %v, want\n%q", got, err, want)
	}
	for container, says := range map[string]string{"sidecar": "variable NEEDS: Secret keys has no key z", "sidecat": `has no container "sidecat" (did you mean "sidecar"?): it has app, sidecar`} {
		if _, err := (&environment{client: client}).of(t.Context(), svc, container); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %s", container, err, says)
		}
	}
	svc.Spec.Selector = map[string]string{"app": "nobody"}
	if _, err := (&environment{client: client}).of(t.Context(), svc, ""); err == nil || !strings.Contains(err.Error(), "no pod has the labels app=nobody") {
		t.Errorf("without a pod: %v", err)
	}
}

func TestAShellReadsTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.env")
	all := []variable{{"A", "plain-1.2/x,y:z"}, {"B", "two\nlines"}, {"C", `it's "$HOME" \ here`}, {"D", ""}, {"not.a.name", "x"}, {"E", " spaces "}}
	for range 2 { // it is replaced
		if err := writeEnvironment(path, all); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	out, err := exec.Command("sh", "-ec", `. "$0"; printf '%s|' "$A" "$B" "$C" "$D" "$E"`, path).CombinedOutput()
	if want := "plain-1.2/x,y:z|two\nlines|it's \"$HOME\" \\ here|| spaces |"; err != nil || string(out) != want {
		t.Errorf("a shell reads %q, %v, want %q", out, err, want)
	}
	if text := environmentText(all); !strings.Contains(text, "A=plain-1.2/x,y:z\n") || !strings.Contains(text, "# not.a.name is no name for a shell\n") {
		t.Errorf("the text is\n%s", text)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if err := writeEnvironment(filepath.Join(path, "no"), all); err == nil || len(entries) != 1 {
		t.Errorf("in a folder that is none: %v; left: %v", err, entries)
	}
}

func TestTheMachinesSearchDomainsFollow(t *testing.T) {
	const pod = "search default.svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
	for machine, want := range map[string]string{
		"":                                pod,
		"search .\nnameserver 127.0.0.53": pod,
		"nameserver 192.0.2.1\nsearch corp.example lan\n": strings.Replace(pod, "cluster.local\nname", "cluster.local corp.example lan\nname", 1),
		"domain lan": strings.Replace(pod, "cluster.local\nname", "cluster.local lan\nname", 1),
	} {
		if got := withSearches(pod, machine); got != want {
			t.Errorf("with %q: got\n%s", machine, got)
		}
	}
}

// A thread with mounts of its own reads our file, and finds nobody at a socket of the machine.
func TestMountsArePrivate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	folder := t.TempDir()
	shown, ours, socket := filepath.Join(folder, "resolv.conf"), filepath.Join(folder, "ours"), filepath.Join(folder, "socket")
	for path, text := range map[string]string{shown: "machine", ours: "ours"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	link := filepath.Join(folder, "link") // as /etc/resolv.conf often is one
	if err := os.Symlink(shown, link); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := privateMounts(map[string]string{link: ours, socket: os.DevNull}); err != nil {
				return err
			}
			if err := os.Remove(ours); err != nil {
				return err
			}
			out, err := exec.Command("cat", link).CombinedOutput()
			if err != nil || string(out) != "ours" {
				return fmt.Errorf("a child reads %q, %v", out, err)
			}
			if c, err := net.Dial("unix", socket); err == nil {
				c.Close()
				return errors.New("somebody answers at the socket")
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(link); err != nil || string(text) != "machine" {
		t.Errorf("everybody else reads %q, %v", text, err)
	}
	if c, err := net.Dial("unix", socket); err != nil {
		t.Errorf("everybody else at the socket: %v", err)
	} else {
		c.Close()
	}
}
