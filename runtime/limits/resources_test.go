package limits

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestRequestsBecomeSharesAndLimitsBounds(t *testing.T) {
	for _, c := range []struct {
		what                  string
		requests, limits, pod v1.ResourceList
		want                  docker.Resources
	}{
		{"nothing", nil, nil, nil, docker.Resources{CPUShares: 2}},
		{"requests only", amounts("cpu", "500m", "memory", "64Mi"), nil, nil, docker.Resources{CPUShares: 512}},
		{"a limit is a request too", nil, amounts("cpu", "2", "memory", "64Mi"), nil, docker.Resources{CPUShares: 2048, CPUQuota: 200_000, CPUPeriod: 100_000, Memory: 64 << 20}},
		{"both", amounts("cpu", "250m"), amounts("cpu", "1500m"), nil, docker.Resources{CPUShares: 256, CPUQuota: 150_000, CPUPeriod: 100_000}},
		{"a request for none", amounts("cpu", "0"), amounts("cpu", "1"), nil, docker.Resources{CPUShares: 2, CPUQuota: 100_000, CPUPeriod: 100_000}},
		{"less than the kernel knows", amounts("cpu", "1m"), amounts("cpu", "1m"), nil, docker.Resources{CPUShares: 2, CPUQuota: 1000, CPUPeriod: 100_000}},
		{"more than the kernel knows", amounts("cpu", "1000"), nil, nil, docker.Resources{CPUShares: 262_144}},
		{"the Pod's limits where it has none", amounts("cpu", "1"), amounts("memory", "1Mi"), amounts("cpu", "2", "memory", "2Mi"), docker.Resources{CPUShares: 1024, CPUQuota: 200_000, CPUPeriod: 100_000, Memory: 1 << 20}},
	} {
		container := v1.Container{Resources: v1.ResourceRequirements{Requests: c.requests, Limits: c.limits}}
		pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{container}}}
		if c.pod != nil {
			pod.Spec.Resources = &v1.ResourceRequirements{Limits: c.pod}
		}
		if got := OfContainer(pod, &container); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestWhatIsInForceReadsAsItWasDeclared(t *testing.T) {
	for _, text := range []string{"3m", "10m", "100m", "250m", "333m", "1", "1500m", "7"} {
		c := v1.Container{Resources: v1.ResourceRequirements{Requests: amounts("cpu", text), Limits: amounts("cpu", text)}}
		r := OfContainer(&v1.Pod{}, &c)
		limit, request := cpuLimit(r), cpuRequest(r)
		want := resource.MustParse(text)
		if request.Cmp(want) != 0 || limit.Cmp(want) != 0 && want.MilliValue() >= 10 {
			t.Errorf("%s: request %s, limit %s", text, request.String(), limit.String())
		}
	}
	if none := cpuLimit(docker.Resources{CPUShares: 2}); !none.IsZero() {
		t.Errorf("no limit reads as %s", none.String())
	}
}

// amounts is a list of resources from name, amount, name, amount …
func amounts(text ...string) v1.ResourceList {
	out := v1.ResourceList{}
	for n := 0; n < len(text); n += 2 {
		out[v1.ResourceName(text[n])] = resource.MustParse(text[n+1])
	}
	return out
}

// groupFile makes a file of a pretended kernel.
func groupFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
