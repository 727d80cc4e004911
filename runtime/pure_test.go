package runtime

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

func (f fixedSources) configMap(_ context.Context, _, name string) (*v1.ConfigMap, error) {
	if m, ok := f.configMaps[name]; ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmap"}, name)
}

func (f fixedSources) secret(_ context.Context, _, name string) (*v1.Secret, error) {
	if m, ok := f.secrets[name]; ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secret"}, name)
}

func (f fixedSources) envFile(*v1.Pod, *v1.FileKeySelector) (string, bool, error) {
	return "", false, nil
}

func testPod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid", Labels: map[string]string{"app": "web"}},
		Spec:       v1.PodSpec{NodeName: "node", ServiceAccountName: "default", DNSPolicy: v1.DNSClusterFirst},
	}
}

var testSources = fixedSources{
	configMaps: map[string]*v1.ConfigMap{"cm": {Data: map[string]string{"a": "1", "b": "2"}}},
	secrets:    map[string]*v1.Secret{"s": {Data: map[string][]byte{"key": []byte("hush")}}},
}

var testNode = nodeFacts{name: "node", hostIPs: pods.IPs{"10.244.0.1"}, allocatable: v1.ResourceList{v1.ResourceMemory: resource.MustParse("1Gi")}}

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

func TestHostsFile(t *testing.T) {
	pod := testPod()
	pod.Spec.Subdomain = "peers"
	pod.Spec.HostAliases = []v1.HostAlias{{IP: "1.2.3.4", Hostnames: []string{"one", "uno"}}}
	got := string(hosts(pod, pods.IPs{"10.244.0.2"}, "cluster.local", nil))
	for _, line := range []string{"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n", "10.244.0.2\tweb.peers.ns.svc.cluster.local\tweb\n", "# Entries added by HostAliases.\n1.2.3.4\tone\tuno\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	if got := string(hosts(pod, pods.IPs{"10.0.0.1"}, "cluster.local", []byte("10.0.0.1 machine\n"))); !strings.HasPrefix(got, "# Kubernetes-managed hosts file (host network).\n10.0.0.1 machine\n") || strings.Contains(got, "peers") {
		t.Errorf("in the host's network:\n%s", got)
	}
	other := "other.example"
	pod.Spec.HostnameOverride = &other
	if got := string(hosts(pod, pods.IPs{"10.244.0.2"}, "cluster.local", nil)); !strings.Contains(got, "\n10.244.0.2\tother.example\n") {
		t.Errorf("with another name:\n%s", got)
	}
}

func TestFileThatAContainerBlewUpIsWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	for _, size := range []int64{0, 4, 1 << 42} { // far more than memory
		if err := errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(path, []byte("text")); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "text" {
			t.Errorf("of %d bytes: %q, %v", size, got, err)
		}
	}
}

func TestResolvConfFollowsTheDNSPolicy(t *testing.T) {
	host := parseResolv([]byte("# comment\nnameserver 192.0.2.53\nsearch example.org\noptions timeout:1\n"))
	server, two := netip.MustParseAddr("10.96.0.10"), "2"
	cluster := "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local example.org\noptions ndots:5\n"
	own := "nameserver 192.0.2.53\nsearch example.org\noptions timeout:1\n"
	for _, c := range []struct {
		name   string
		change func(*v1.PodSpec)
		want   string
	}{
		{"ClusterFirst", func(*v1.PodSpec) {}, cluster},
		{"Default", func(s *v1.PodSpec) { s.DNSPolicy = v1.DNSDefault }, own},
		{"ClusterFirst in the host's network", func(s *v1.PodSpec) { s.HostNetwork = true }, own},
		{"ClusterFirstWithHostNet", func(s *v1.PodSpec) { s.HostNetwork, s.DNSPolicy = true, v1.DNSClusterFirstWithHostNet }, cluster},
		{"None", func(s *v1.PodSpec) {
			s.DNSPolicy, s.DNSConfig = v1.DNSNone, &v1.PodDNSConfig{Nameservers: []string{"9.9.9.9"}, Searches: []string{"x"}}
		}, "nameserver 9.9.9.9\nsearch x\n"},
		{"options of its own", func(s *v1.PodSpec) {
			s.DNSConfig = &v1.PodDNSConfig{Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}}}
		}, strings.Replace(cluster, "ndots:5", "ndots:2 edns0", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := testPod()
			c.change(&pod.Spec)
			if got := string(resolv(pod, server, "cluster.local", host).render()); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestResolvConfHoldsWhatItsReadersHeed(t *testing.T) {
	many := func(n, length int) (out []string) {
		for i := range n {
			out = append(out, strings.Repeat(string(rune('a'+i%26)), length))
		}
		return out
	}
	for _, c := range []struct {
		what              string
		have              resolver
		servers, searches int
		warning           string
	}{
		{"what fits", resolver{servers: many(3, 1), searches: many(32, 10)}, 3, 32, ""},
		{"a fourth server", resolver{servers: many(4, 1)}, 3, 0, "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: a b c"},
		{"too many searches", resolver{searches: many(40, 10)}, 0, 32, "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: aaaaaaaaaa "},
		{"one that is too long", resolver{searches: append(many(1, 254), "short")}, 0, 1, "applied search line is: short"},
		{"a line that is too long", resolver{searches: many(20, 200)}, 0, 10, "Search Line limits were exceeded"},
	} {
		got, warnings := c.have.fit()
		if len(got.servers) != c.servers || len(got.searches) != c.searches {
			t.Errorf("%s: %d servers and %d searches are left, want %d and %d", c.what, len(got.servers), len(got.searches), c.servers, c.searches)
		}
		if text := strings.Join(warnings, "\n"); !strings.Contains(text, c.warning) || (text == "") != (c.warning == "") {
			t.Errorf("%s: it says %q, want %q", c.what, text, c.warning)
		}
	}
}
