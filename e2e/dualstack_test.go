package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// startFamily starts an instance of its own with --ip-family.
func startFamily(t *testing.T, family string) *instance {
	t.Helper()
	i, err := newInstance()
	if err != nil {
		t.Fatal(err)
	}
	i.binary = cluster.binary
	i.flags = append(i.flags, "--ip-family="+family)
	if family == "ipv6" {
		i.flags = append(i.without("service-cidr"), "--service-cidr=fd00:e2e:1::/112")
		i.flags = append(i.without("pod-cidr"), "--pod-cidr=fd00:e2e:2::/64")
	}
	t.Cleanup(func() {
		if err := i.remove(); err != nil {
			t.Error(err)
		}
	})
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	return i
}

// without are the flags of start but for one.
func (i *instance) without(name string) (flags []string) {
	for _, flag := range i.flags {
		if !strings.HasPrefix(flag, "--"+name+"=") {
			flags = append(flags, flag)
		}
	}
	return flags
}

// at is the URL of a port of an address of whichever family.
func at(address string, port string) string { return "http://" + net.JoinHostPort(address, port) }

const dualWeb = "type: NodePort, ipFamilyPolicy: %s, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]"

// With --ip-family=dual pods, Services, names and NodePorts have both families.
func TestDualStack(t *testing.T) {
	i := startFamily(t, "dual")
	ns := namespace{"default", i}
	ns.apply(t, toolPod("web", `http-serve, ":8080", web`)+toolPod("client", "sleep")+
		service("web", fmt.Sprintf(dualWeb, "PreferDualStack"))+service("single", fmt.Sprintf(dualWeb, "SingleStack"))+
		service("headless", "clusterIP: None, ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 8080}]"))
	ns.waitForPods(t, 2, "(web|client)")
	podIPs := strings.Fields(ns.value(t, "pod/web", "{.status.podIPs[*].ip}"))
	clusterIPs := strings.Fields(ns.value(t, "service/web", "{.spec.clusterIPs[*]}"))
	if len(podIPs) != 2 || len(clusterIPs) != 2 || !strings.Contains(podIPs[1], ":") || !strings.Contains(clusterIPs[1], ":") {
		t.Fatalf("a pod at %v behind a Service at %v: want an address of each family", podIPs, clusterIPs)
	}
	if got := ns.value(t, "service/single", "{.spec.ipFamilies}"); got != `["IPv4"]` {
		t.Errorf("a Service of one family: %s", got)
	}
	for n := range 2 {
		ns.waitForTool(t, "web", "client", "http-get", at(podIPs[n], "8080"))
		ns.waitForTool(t, "web", "client", "http-get", at(clusterIPs[n], "80"))
		waitForAnswer(t, at(clusterIPs[n], "80"), "web")
	}
	for _, service := range []string{"web", "single"} {
		port := ns.value(t, "service/"+service, "{.spec.ports[0].nodePort}")
		for _, local := range []string{"127.0.0.1", "::1"} {
			waitForAnswer(t, at(local, port), "web")
		}
	}
	for name, want := range map[string][]string{"web": clusterIPs, "headless": podIPs} {
		name += ".default.svc.cluster.local"
		for n, kind := range []string{"A", "AAAA"} {
			ns.waitForTool(t, want[n], "client", "dns", kind, name)
		}
	}
	ns.waitForTool(t, "web.default.svc.cluster.local.", "client", "dns", "PTR", clusterIPs[1])
	if got := ns.must(t, "exec", "client", "--", "/tool", "cat", "/etc/hosts"); !strings.Contains(got, ns.value(t, "pod/client", "{.status.podIPs[1].ip}")+"\tclient") {
		t.Errorf("/etc/hosts: %s", got)
	}
	ns.apply(t, policyManifest("deny", "web", "policyTypes: [Ingress]"))
	for n := range 2 {
		ns.reaches(t, "client", at(podIPs[n], "8080"), false)
		ns.reaches(t, "client", at(clusterIPs[n], "80"), false)
		waitForAnswer(t, at(clusterIPs[n], "80"), "web") // this machine may always
	}
}

// With --ip-family=ipv6 there is nothing else.
func TestIPv6Alone(t *testing.T) {
	ns := namespace{"default", startFamily(t, "ipv6")}
	ns.apply(t, toolPod("web", `http-serve, ":8080", web`)+toolPod("client", "sleep")+
		service("web", "type: LoadBalancer, selector: {app: web}, ports: [{port: 8090, targetPort: 8080}]"))
	ns.waitForPods(t, 2, "(web|client)")
	podIP, clusterIP := ns.value(t, "pod/web", "{.status.podIPs[*].ip}"), ns.value(t, "service/web", "{.spec.clusterIPs[*]}")
	if !strings.HasPrefix(podIP, "fd00:e2e:2::") || !strings.HasPrefix(clusterIP, "fd00:e2e:1::") || strings.Contains(podIP+clusterIP, " ") {
		t.Fatalf("a pod at %s behind a Service at %s", podIP, clusterIP)
	}
	ns.waitForTool(t, "web", "client", "http-get", at(podIP, "8080"))
	ns.waitForTool(t, "web", "client", "http-get", "http://web:8090")
	waitForAnswer(t, at(clusterIP, "8090"), "web")
	ns.waitForValue(t, "service/web", "{.status.loadBalancer.ingress[0].ip}", "^::1$")
	waitForAnswer(t, at("::1", "8090"), "web")
	got := ns.run(t, "create", "service", "clusterip", "both", "--tcp=80", "--dry-run=server", "-o", "name")
	if got.code != 0 {
		t.Errorf("a Service that names no family: %s", got.stderr)
	}
}

// An instance of one family refuses a Service that wants two, in the words of every cluster of one.
func TestRequireDualStackIsRefusedWithoutIt(t *testing.T) {
	ns := newNamespace(t, "single")
	got := cluster.run(t, service("both", "ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 80}]"), ns.args([]string{"apply", "-f", "-"})...)
	if got.code == 0 || !strings.Contains(got.stderr, "this cluster is not configured for dual-stack services") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}
