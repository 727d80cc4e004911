package probe

import (
	"net/http"
	"net/http/httptest"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestRequestsNameTheReleaseOfKubernetes(t *testing.T) {
	agents := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { agents <- r.UserAgent() }))
	defer server.Close()
	host, port := addressOf(t, server.Listener.Addr().String())
	target := Target{Container: &v1.Container{}, Host: host}
	for name, c := range map[string]struct {
		headers          []v1.HTTPHeader
		probe, lifecycle string
	}{
		"nothing declared":  {nil, "kube-probe/1.36", "kube-lifecycle/1.36"},
		"another declared":  {[]v1.HTTPHeader{{Name: "user-agent", Value: "mine"}}, "mine", "mine"},
		"an empty declared": {[]v1.HTTPHeader{{Name: "User-Agent"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			get := &v1.HTTPGetAction{Port: intstr.FromInt32(int32(port)), HTTPHeaders: c.headers}
			if result, said := New().Ask(t.Context(), v1.ProbeHandler{HTTPGet: get}, limit, target); result != Success {
				t.Fatalf("the probe got %v, %q", result, said)
			}
			if got := <-agents; got != c.probe {
				t.Errorf("the probe said %q, want %q", got, c.probe)
			}
			if _, err := New().Get(t.Context(), get, target); err != nil {
				t.Fatal(err)
			}
			if got := <-agents; got != c.lifecycle {
				t.Errorf("the hook said %q, want %q", got, c.lifecycle)
			}
		})
	}
}
