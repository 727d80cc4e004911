package verdict

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

func targetOf(t *testing.T, url string) target {
	t.Helper()
	out, m := parseTarget(url)
	if m != nil {
		t.Fatal(m)
	}
	return out
}

func TestNamesInTheCluster(t *testing.T) {
	for host, want := range map[string]string{
		"web": "svc default web", "web.shop": "svc shop web", "web.shop.svc": "svc shop web", "web.shop.svc.cluster.local": "svc shop web",
		"web-0.shop.pod": "pod shop web-0", "shop.example.com": "  ", "a.b.shop.pod": "pod shop a.b",
	} {
		kind, namespace, name := targetOf(t, "http://"+host+"/").inCluster("default")
		if got := kind + " " + namespace + " " + name; got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func TestServicePort(t *testing.T) {
	two := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "admin", Port: 9000}}}}
	two.Name = "web"
	one := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}}}
	one.Name = "web"
	for _, f := range []struct {
		url  string
		of   *corev1.Service
		want int32
		says string
	}{
		{"http://web/", two, 80, ""},
		{"http://web:admin/", two, 9000, ""},
		{"http://web:9000/", two, 9000, ""},
		{"http://web/", one, 8080, ""}, // it has no other
		{"https://web/", two, 0, "service web has no port 443; it has 80 http, 9000 admin"},
		{"http://web:81/", one, 0, "service web has no port 81; it has 8080"},
	} {
		got, err := servicePort(targetOf(t, f.url), f.of)
		if f.says == "" && (err != nil || got.Port != f.want) || f.says != "" && (err == nil || err.Error() != f.says) {
			t.Errorf("%s: %v, %v; want %d %s", f.url, got, err, f.want, f.says)
		}
	}
}

func TestIngressAddress(t *testing.T) {
	kubeLite := networkingv1.IngressLoadBalancerIngress{IP: "127.0.0.1", Ports: []networkingv1.IngressPortStatus{{Port: 8080}, {Port: 8443}}}
	cloud := networkingv1.IngressLoadBalancerIngress{Hostname: "lb.example.com"}
	for _, f := range []struct {
		url  string
		at   networkingv1.IngressLoadBalancerIngress
		want string
	}{
		{"http://shop.localhost/", kubeLite, "127.0.0.1:8080"},
		{"https://shop.localhost/", kubeLite, "127.0.0.1:8443"},
		{"http://shop.localhost:9090/", kubeLite, "127.0.0.1:9090"},
		{"https://shop.localhost/", cloud, "lb.example.com:443"},
		{"http://shop.localhost/", networkingv1.IngressLoadBalancerIngress{}, ""},
	} {
		i := &networkingv1.Ingress{Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{f.at}}}}
		host, port, served := ingressAddress(i, targetOf(t, f.url))
		if served != (f.want != "") || served && address(host, port) != f.want {
			t.Errorf("%s: %v %s, want %s", f.url, served, address(host, port), f.want)
		}
	}
}

func TestHostsOfIngresses(t *testing.T) {
	for rule, want := range map[string]bool{"a.shop.test": true, "*.shop.test": true, "*.test": false, "": false, "shop.test": false} {
		if hostMatches(rule, "a.shop.test") != want {
			t.Errorf("%q has a.shop.test: %v, want %v", rule, !want, want)
		}
	}
}

func TestReachPods(t *testing.T) {
	r := newRig(t, pod+"spec: {containers: [{name: a, ports: [{name: http, containerPort: 8080}]}]}\nstatus: {podIP: 10.0.0.9}")
	way, err := r.reach(t.Context(), targetOf(t, "http://web.default.pod:http/x"))
	if err != nil || way.port != "8080" {
		t.Errorf("%+v, %v", way, err)
	}
	if _, err := r.reach(t.Context(), targetOf(t, "http://web.default.pod:grpc/")); err == nil || !strings.Contains(err.Error(), "no port named grpc") {
		t.Errorf("a port that is not there: %v", err)
	}
}
