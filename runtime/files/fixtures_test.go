package files

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// fixedSources are ConfigMaps and Secrets by name.
type fixedSources struct {
	configMaps map[string]*v1.ConfigMap
	secrets    map[string]*v1.Secret
}

func (f fixedSources) ConfigMap(_ context.Context, _, name string) (*v1.ConfigMap, error) {
	if m, ok := f.configMaps[name]; ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmap"}, name)
}

func (f fixedSources) Secret(_ context.Context, _, name string) (*v1.Secret, error) {
	if m, ok := f.secrets[name]; ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secret"}, name)
}

func (f fixedSources) envFile(*v1.Pod, *v1.FileKeySelector) (string, bool, error) {
	return "", false, nil
}

var testSources = fixedSources{
	configMaps: map[string]*v1.ConfigMap{"cm": {Data: map[string]string{"a": "1", "b": "2"}}},
	secrets:    map[string]*v1.Secret{"s": {Data: map[string][]byte{"key": []byte("hush")}}},
}

var testNode = Node{Name: "node", HostIPs: pods.IPs{"10.244.0.1"}, Allocatable: v1.ResourceList{v1.ResourceMemory: resource.MustParse("1Gi")}}

func app(name string) v1.Container { return v1.Container{Name: name, Image: "app:1"} }

func testPod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid", Labels: map[string]string{"app": "web"}},
		Spec:       v1.PodSpec{NodeName: "node", ServiceAccountName: "default", DNSPolicy: v1.DNSClusterFirst},
	}
}

func amounts(text ...string) v1.ResourceList {
	out := v1.ResourceList{}
	for n := 0; n < len(text); n += 2 {
		out[v1.ResourceName(text[n])] = resource.MustParse(text[n+1])
	}
	return out
}

// scratch is a directory of the Pod with a limit; empty: none.
func scratch(name, limit string) v1.Volume {
	v := v1.Volume{Name: name, VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}
	if limit != "" {
		size := resource.MustParse(limit)
		v.EmptyDir.SizeLimit = &size
	}
	return v
}
