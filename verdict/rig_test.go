package verdict

import (
	"bytes"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/kube-lite/kube-lite/why"
)

// rig is a run in a cluster in memory.
type rig struct {
	*Run
	dynamic *dynamicfake.FakeDynamicClient
	out     *bytes.Buffer
}

var resources = map[string]schema.GroupVersionResource{
	"Pod": {Version: "v1", Resource: "pods"}, "Service": {Version: "v1", Resource: "services"}, "Secret": {Version: "v1", Resource: "secrets"},
	"Deployment": {Group: "apps", Version: "v1", Resource: "deployments"}, "Job": {Group: "batch", Version: "v1", Resource: "jobs"},
}

// newRig has the objects applied.
func newRig(t *testing.T, texts ...string) *rig {
	t.Helper()
	r := &rig{dynamic: dynamicfake.NewSimpleDynamicClient(scheme.Scheme), out: &bytes.Buffer{}}
	var typed []runtime.Object
	r.Run = &Run{Cluster: &Cluster{Dynamic: r.dynamic, Near: true, Namespace: "default"}, Report: NewReport(r.out, Plain, 0)}
	for _, text := range texts {
		o := object(t, text)
		o.SetNamespace("default")
		resource := resources[o.GetKind()]
		if err := r.dynamic.Tracker().Create(resource, o, "default"); err != nil {
			t.Fatal(err)
		}
		into, err := scheme.Scheme.New(o.GroupVersionKind())
		if err == nil {
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into)
		}
		if err != nil {
			t.Fatal(err)
		}
		typed = append(typed, into)
		r.Objects = append(r.Objects, Object{
			Mapping:   &meta.RESTMapping{Resource: resource, GroupVersionKind: o.GroupVersionKind(), Scope: meta.RESTScopeNamespace},
			Namespace: "default", Name: o.GetName(),
		})
	}
	r.Client = fake.NewClientset(typed...)
	r.Explain = why.New(r.Client, r.Dynamic, why.Options{Program: "kube-lite", Namespace: "default"})
	return r
}

// becomes changes the object in the cluster.
func (r *rig) becomes(t *testing.T, text string) {
	t.Helper()
	o := object(t, text)
	o.SetNamespace("default")
	if _, err := r.dynamic.Resource(resources[o.GetKind()]).Namespace("default").Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}
