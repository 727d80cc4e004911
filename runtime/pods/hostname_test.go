package pods

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHostnameMayBeTheWholeName(t *testing.T) {
	yes := true
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
	pod.Spec.Subdomain, pod.Spec.SetHostnameAsFQDN = "peers", &yes
	if got, err := KernelHostname(pod, "cluster.local"); got != "web.peers.ns.svc.cluster.local" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	pod.Namespace = strings.Repeat("n", 50)
	if _, err := KernelHostname(pod, "cluster.local"); err == nil || !strings.Contains(err.Error(), "is too long (64 characters is the max, 78 characters requested)") {
		t.Errorf("too long a name: %v", err)
	}
}
