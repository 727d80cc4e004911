package netproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestHealthCheckNodePort(t *testing.T) {
	port := freePort(t)
	s := svc("local", "10.96.0.6", "80/TCP:30084")
	s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, int32(port)
	name := types.NamespacedName{Namespace: "default", Name: "local"}
	checks := newHealthChecks("n1", nil)
	defer checks.close()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() (status int, body string, err error) {
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", port))
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return response.StatusCode, string(text), err
	}
	for node, want := range map[string]struct {
		status int
		text   string
	}{"n1": {http.StatusOK, `"localEndpoints": 2`}, "n2": {http.StatusServiceUnavailable, `"localEndpoints": 0`}} {
		checks.observe(name, s, []*discoveryv1.EndpointSlice{slice("local", ports("8080/TCP"), podA, podB)}, oneNode(node))
		if err := checks.sync(); err != nil {
			t.Fatal(err)
		}
		if status, body, err := ask(); err != nil || status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("on %s: %d, %v, %s; want %d with %s", node, status, err, body, want.status, want.text)
		}
	}
	checks.observe(name, nil, nil, oneNode("n1"))
	if err := checks.sync(); err != nil {
		t.Fatal(err)
	}
	if status, _, err := ask(); err == nil {
		t.Errorf("without the Service: %d", status)
	}
}
