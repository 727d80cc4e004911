package apiserver

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

func TestTheChainIsUpstreamsDefaultInItsOrder(t *testing.T) {
	var have []string
	for _, p := range admissionChain() {
		if p.name != "NodeRestriction" && p.name != warningsPlugin { // the one is in no default chain but in every cluster's, the other is ours
			have = append(have, p.name)
		}
	}
	if want := upstreamsChain(t); !slices.Equal(have, want) {
		t.Errorf("the chain is\n%v, want\n%v", have, want)
	}
}

// upstreamsChain reads the default chain in the source of upstream's options, which cannot be linked without etcd's client
// and all authenticators. An entry there is `alias.PluginName, // Name`: the list of all has the names, and the set of
// those that are on by default comes after it.
func upstreamsChain(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(upstream(t), "pkg/kubeapiserver/options/plugins.go"))
	if err != nil {
		t.Fatal(err)
	}
	all, on, found := strings.Cut(string(source), "defaultOnPlugins := sets.New(")
	if !found {
		t.Fatal("upstream's defaults are not where they were")
	}
	entry := regexp.MustCompile(`(\w+)\.PluginName, +// (\w+)`)
	enabled := map[string]bool{}
	for _, e := range entry.FindAllStringSubmatch(on, -1) {
		enabled[e[1]] = true
	}
	var names []string
	for _, e := range entry.FindAllStringSubmatch(all, -1) {
		if enabled[e[1]] {
			names = append(names, e[2])
		}
	}
	return names
}

// namespace makes one with labels.
func namespace(t *testing.T, client kubernetes.Interface, name string, labels map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestPodSecurityGoesByTheNamespacesLabels(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	client, warnings := s.warned(t)
	namespace(t, client, "strict", map[string]string{"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"})
	pod := func(name string, privileged bool) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
			ServiceAccountName: "robot", Containers: []corev1.Container{{Name: "c", Image: "x", SecurityContext: &corev1.SecurityContext{Privileged: &privileged}}},
		}}
	}
	for _, ns := range []string{"strict", "default"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}
		if _, err := client.CoreV1().ServiceAccounts(ns).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.CoreV1().Pods("strict").Create(t.Context(), pod("root", true), metav1.CreateOptions{})
	if want := `violates PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)`; !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("a privileged Pod: %v, want %s", err, want)
	}
	if _, err := client.CoreV1().Pods("strict").Create(t.Context(), pod("user", false), metav1.CreateOptions{}); err != nil {
		t.Errorf("a Pod that the baseline allows: %v", err)
	}
	if !warnings.has(`would violate PodSecurity "restricted:latest"`) {
		t.Errorf("warnings %q say nothing of what restricted forbids", warnings.all())
	}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod("root", true), metav1.CreateOptions{}); err != nil {
		t.Errorf("a privileged Pod in a namespace without labels: %v", err)
	}
	patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}`)
	if _, err := client.CoreV1().Namespaces().Patch(t.Context(), "default", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if !warnings.has(`existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"`) || !warnings.has("root: privileged") {
		t.Errorf("warnings %q do not name the Pod that offends", warnings.all())
	}
	patch = []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"nonsense"}}}`)
	if _, err := client.CoreV1().Namespaces().Patch(t.Context(), "default", types.MergePatchType, patch, metav1.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a level that is none: %v, want Invalid", err)
	}
}

func TestEachNodeButTheFirstIsTainted(t *testing.T) {
	t.Parallel()
	client := serve(t, t.TempDir()).admin(t)
	for i, name := range []string{"first", "second"} {
		node, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(node.Spec.Taints) != i || i > 0 && node.Spec.Taints[0].Key != corev1.TaintNodeNotReady {
			t.Errorf("the %s node has the taints %v", name, node.Spec.Taints)
		}
	}
}
