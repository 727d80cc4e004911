package intercept

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestWhichPortIsMeant(t *testing.T) {
	one := func(change func(*corev1.Service)) *corev1.Service {
		svc := web()
		svc.Spec.Ports = []corev1.ServicePort{{Port: 80}, {Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP}}
		if change != nil {
			change(svc)
		}
		return svc
	}
	for what, c := range map[string]struct {
		svc    *corev1.Service
		wanted string
		want   int32
		says   string
	}{
		"by name":                {web(), "admin", 81, ""},
		"by number":              {web(), "80", 80, ""},
		"the only one":           {one(nil), "", 80, ""},
		"the same number by UDP": {one(nil), "80", 80, ""},
		"several":                {web(), "", 0, "the Service default/web has several ports: choose one with --port: http (80), admin (81)"},
		"mistyped":               {web(), "htpp", 0, `the Service default/web has no port "htpp" (did you mean "http"?): it has http (80), admin (81), dns (53)/UDP`},
		"UDP":                    {one(nil), "udp", 0, "has no such port of TCP, and no other protocol is intercepted: it has 80, udp (80)/UDP"},
		"only UDP":               {one(func(s *corev1.Service) { s.Spec.Ports = s.Spec.Ports[1:] }), "", 0, "has no such port of TCP"},
		"headless":               {one(func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone }), "", 0, "the Service default/web is headless: "},
		"alias": {one(func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
		}), "", 0,
			"is an alias of example.com"},
		"another proxy's": {one(func(s *corev1.Service) { s.Labels = map[string]string{serviceProxyNameLabel: "other"} }), "", 0, "is served by another proxy"},
	} {
		nearest := func(wrong string, names []string) string {
			if wrong == "htpp" && len(names) == 3 {
				return names[0]
			}
			return ""
		}
		got, err := PortOf(c.svc, c.wanted, nearest)
		if c.says == "" && (err != nil || got.Port != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %d, %v, want %d %s", what, got.Port, err, c.want, c.says)
		}
	}
}

func TestTheServiceIsNoProcess(t *testing.T) {
	svc := web()
	svc.Spec.ExternalIPs = []string{"203.0.113.7"}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "127.0.0.1"}}
	for to, ok := range map[string]bool{
		"localhost:3000": true, "127.0.0.1:3000": true, "10.96.0.2:81": true, "example.com:80": true, "127.0.0.2:80": true, "192.0.2.1:30080": true,
		"10.96.0.2:80": false, "203.0.113.7:80": false, "localhost:80": false, "127.0.0.1:80": false, "localhost:30080": false, "[::1]:30080": false,
	} {
		if err := checkTarget(svc, svc.Spec.Ports[0], to); (err == nil) != ok {
			t.Errorf("%s: %v", to, err)
		}
	}
}
