package files

import (
	"slices"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestEnvironmentExpandsReferencesAndReadsSources(t *testing.T) {
	yes := true
	field := func(path string) *v1.EnvVarSource {
		return &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}
	}
	key := func(name, key string, optional *bool) *v1.EnvVarSource {
		return &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: name}, Key: key, Optional: optional}}
	}
	c := &v1.Container{
		Name: "app", Resources: v1.ResourceRequirements{Limits: v1.ResourceList{v1.ResourceCPU: resource.MustParse("1500m")}},
		EnvFrom: []v1.EnvFromSource{
			{Prefix: "CM_", ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}}},
			{SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "none"}, Optional: &yes}},
		},
		Env: []v1.EnvVar{
			{Name: "HOST", Value: "localhost"},
			{Name: "URL", Value: "http://$(HOST):$(PORT)/$$(HOST)"},
			{Name: "PORT", Value: "8080"},
			{Name: "WITH_CM", Value: "$(CM_a)-$(WEB_SERVICE_HOST)"},
			{Name: "POD", ValueFrom: field("metadata.name")},
			{Name: "NODE", ValueFrom: field("spec.nodeName")},
			{Name: "IP", ValueFrom: field("status.podIP")},
			{Name: "LABEL", ValueFrom: field("metadata.labels['app']")},
			{Name: "KEY", ValueFrom: key("cm", "b", nil)},
			{Name: "ABSENT", ValueFrom: key("none", "x", &yes)},
			{Name: "SECRET", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "s"}, Key: "key"}}},
			{Name: "CPUS", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "HOST", Value: "again"},
		},
	}
	services := []v1.EnvVar{{Name: "WEB_SERVICE_HOST", Value: "10.96.0.9"}}
	pod := testPod()
	pod.Spec.Containers = []v1.Container{*c}
	got, err := environment(t.Context(), pod, c, testNode, pods.IPs{"10.244.0.2"}, testSources, services)
	want := []string{
		"WEB_SERVICE_HOST=10.96.0.9", "CM_a=1", "CM_b=2", "HOST=again", "URL=http://localhost:$(PORT)/$(HOST)", "PORT=8080",
		"WITH_CM=1-10.96.0.9", "POD=web", "NODE=node", "IP=10.244.0.2", "LABEL=web", "KEY=2", "SECRET=hush", "CPUS=2",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
}

func TestEnvironmentWithoutItsSourceIsAnError(t *testing.T) {
	for what, v := range map[string]v1.EnvVarSource{
		`configmap "none" not found`:               {ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "none"}, Key: "x"}},
		"couldn't find key x in ConfigMap ns/cm":   {ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}, Key: "x"}},
		"couldn't find key x in Secret ns/s":       {SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "s"}, Key: "x"}},
		"unsupported fieldPath: spec.restartPolic": {FieldRef: &v1.ObjectFieldSelector{FieldPath: "spec.restartPolic"}},
	} {
		c := &v1.Container{Env: []v1.EnvVar{{Name: "X", ValueFrom: &v}}}
		_, err := environment(t.Context(), testPod(), c, testNode, nil, testSources, nil)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %s", err, what)
		}
	}
}

func TestVariableThatWouldNotArriveAsItIsIsRefused(t *testing.T) {
	from := fixedSources{
		configMaps: map[string]*v1.ConfigMap{"cm": {Data: map[string]string{"nul": "a\x00b"}}},
		secrets:    map[string]*v1.Secret{"s": {Data: map[string][]byte{"key": {0xff, '\n'}}}},
	}
	secret, configMap := v1.LocalObjectReference{Name: "s"}, v1.LocalObjectReference{Name: "cm"}
	named := func(from *v1.EnvVarSource) *v1.Container {
		return &v1.Container{Env: []v1.EnvVar{{Name: "X", ValueFrom: from}}}
	}
	for what, c := range map[string]*v1.Container{
		"environment variable X from key key of Secret ns/s: its value is not UTF-8 text":     named(&v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: secret, Key: "key"}}),
		"environment variable P_key from key key of Secret ns/s: its value is not UTF-8 text": {EnvFrom: []v1.EnvFromSource{{Prefix: "P_", SecretRef: &v1.SecretEnvSource{LocalObjectReference: secret}}}},
		"environment variable nul from key nul of ConfigMap ns/cm: its value has a NUL byte":  {EnvFrom: []v1.EnvFromSource{{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: configMap}}}},
		"environment variable X from key nul of ConfigMap ns/cm: its value has a NUL byte":    named(&v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: configMap, Key: "nul"}}),
		"environment variable X from its declaration: its value is not UTF-8 text":            {Env: []v1.EnvVar{{Name: "X", Value: "\xff"}}},
	} {
		_, err := environment(t.Context(), testPod(), c, testNode, nil, from, nil)
		if err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "\xff") || strings.Contains(err.Error(), "\x00") || pods.IsRefused(err) {
			t.Errorf("got %q, want %s", err, what)
		}
	}
}

func TestServiceVariablesAreThoseOfDockersLinks(t *testing.T) {
	s := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "redis-primary"}, Spec: v1.ServiceSpec{
		ClusterIP: "10.0.0.11", Ports: []v1.ServicePort{{Name: "wire", Port: 6379, Protocol: v1.ProtocolTCP}},
	}}
	want := []string{
		"REDIS_PRIMARY_SERVICE_HOST=10.0.0.11", "REDIS_PRIMARY_SERVICE_PORT=6379", "REDIS_PRIMARY_SERVICE_PORT_WIRE=6379",
		"REDIS_PRIMARY_PORT=tcp://10.0.0.11:6379", "REDIS_PRIMARY_PORT_6379_TCP=tcp://10.0.0.11:6379",
		"REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp", "REDIS_PRIMARY_PORT_6379_TCP_PORT=6379", "REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.0.0.11",
	}
	var got []string
	for _, v := range serviceVariables(s) {
		got = append(got, v.Name+"="+v.Value)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLimitOfAContainerWithoutOneIsThePodsOrTheNodes(t *testing.T) {
	pod, ref := testPod(), &v1.ResourceFieldSelector{Resource: "limits.memory"}
	pod.Spec.Containers = []v1.Container{app("app"), app("own")}
	pod.Spec.Containers[1].Resources.Limits = amounts("memory", "1Mi")
	for _, c := range []struct {
		of        v1.ResourceList
		container int
		want      string
	}{{nil, 0, "1073741824"}, {amounts("memory", "64Mi"), 0, "67108864"}, {amounts("cpu", "1"), 0, "1073741824"}, {amounts("memory", "64Mi"), 1, "1048576"}} {
		pod.Spec.Resources = &v1.ResourceRequirements{Limits: c.of}
		if got, err := resourceFieldRef(pod, &pod.Spec.Containers[c.container], testNode, ref); got != c.want || err != nil {
			t.Errorf("with the pod's limits %v container %d has %s, %v", c.of, c.container, got, err)
		}
	}
}
