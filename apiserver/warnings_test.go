package apiserver

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// heard keeps the warnings that a client is given.
type heard struct {
	mu   sync.Mutex // guards text
	text []string
}

func (h *heard) HandleWarningHeader(_ int, _, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, text)
}

// take returns what was heard since the last call.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.text
	h.text = nil
	return out
}

// all is what was heard.
func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.text)
}

func (h *heard) has(part string) bool { return strings.Contains(strings.Join(h.all(), "\n"), part) }

// warned is a client as a user has it, and what it is warned of.
func (s *testServer) warned(t *testing.T) (*kubernetes.Clientset, *heard) {
	t.Helper()
	config, h := s.adminConfig(t), &heard{}
	config.WarningHandler = h
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, h
}

func TestKindsThatNeedWhatIsNotHereSaySo(t *testing.T) {
	client, heard := serve(t, t.TempDir()).warned(t)
	ctx, create := t.Context(), metav1.CreateOptions{}
	wantWarning := func(what, want string, err error) {
		t.Helper()
		got := heard.take()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s: warnings %q, want %q", what, got, want)
		}
	}
	_, err := client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}, create)
	wantWarning("a Service", "", err)
	_, err = client.NetworkingV1().NetworkPolicies("default").Create(ctx, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "deny"}}, create)
	wantWarning("a NetworkPolicy", "", err)
	drivers := client.StorageV1().CSIDrivers()
	driver, err := drivers.Create(ctx, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "csi.example.com"}}, create)
	wantWarning("a CSIDriver", "cannot be used", err)
	driver.Labels = map[string]string{"a": "b"}
	_, err = drivers.Update(ctx, driver, metav1.UpdateOptions{})
	wantWarning("a change of it", "", err)
}

func TestIngressIsWarnedOfUnlessThereIsAController(t *testing.T) {
	server := serve(t, t.TempDir())
	server.Informers().Start(t.Context().Done())
	client, heard := server.warned(t)
	create := func(name string) []string {
		t.Helper()
		backend := networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}
		_, err := client.NetworkingV1().Ingresses("default").Create(t.Context(), &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &backend}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return heard.take()
	}
	if got := create("first"); len(got) != 1 || !strings.Contains(got[0], "ingress controller") {
		t.Errorf("warnings %q", got)
	}
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}}
	if _, err := client.NetworkingV1().IngressClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	lister := server.Informers().Networking().V1().IngressClasses().Lister()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		_, err := lister.Get("nginx")
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := create("second"); len(got) > 0 {
		t.Errorf("warnings %q although there is a class", got)
	}
}
