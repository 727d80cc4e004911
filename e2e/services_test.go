package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// atOnce is what a refusal may take on a loaded machine; a packet that is dropped takes longer, for the first
// retransmission alone is due after a second and the client goes on for minutes.
const atOnce = 900 * time.Millisecond

// toolPod is a pod of the test image, which answers to app=NAME. Ports are "NAME: {name: …, containerPort: …}" items.
func toolPod(name, args string, ports ...string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %[1]s
  labels: {app: %[1]s, test: services}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: %[1]s
    image: kube-lite-test/tool:latest
    imagePullPolicy: IfNotPresent
    args: [%[2]s]
    ports: [%[3]s]
---
`, name, args, strings.Join(ports, ", "))
}

func service(name, spec string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\nspec: {%s}\n---\n", name, spec)
}

// tool runs the test tool in a pod and returns what it prints.
func (n namespace) tool(t *testing.T, pod string, args ...string) (string, error) {
	t.Helper()
	got := n.run(t, append([]string{"exec", pod, "--", "/tool"}, args...)...)
	if got.code != 0 {
		return "", errors.New(strings.TrimSpace(got.stderr))
	}
	return strings.TrimSpace(got.stdout), nil
}

// waitForTool waits until the tool prints want.
func (n namespace) waitForTool(t *testing.T, want, pod string, args ...string) {
	t.Helper()
	eventually(t, func() error {
		got, err := n.tool(t, pod, args...)
		if err == nil && got != want {
			err = fmt.Errorf("it prints %q", got)
		}
		if err != nil {
			return fmt.Errorf("%s in %s, want %q: %w", strings.Join(args, " "), pod, want, err)
		}
		return nil
	})
}

func TestServicesReachTheirPods(t *testing.T) {
	ns := newNamespace(t, "services")
	ns.apply(t, toolPod("web", `http-serve, ":8080", web`, "{name: web-port, containerPort: 8080}")+
		toolPod("line", `tcp-serve, ":7070", line`, "{name: line-port, containerPort: 7070}")+
		toolPod("packet", `udp-serve, ":5353", packet`, "{name: packet-port, containerPort: 5353, protocol: UDP}")+
		toolPod("client", "sleep")+
		service("named", "selector: {app: web}, ports: [{name: http, port: 80, targetPort: web-port}, {name: alt, port: 81, targetPort: 8080}]")+
		service("line", "selector: {app: line}, ports: [{port: 70, targetPort: line-port}]")+
		service("packet", "type: NodePort, selector: {app: packet}, ports: [{port: 53, protocol: UDP, targetPort: packet-port}]")+
		service("none", "selector: {app: nobody}, type: NodePort, ports: [{name: tcp, port: 80}, {name: udp, port: 80, protocol: UDP}]"))
	ns.waitForPods(t, 4, "(web|line|packet|client)")

	t.Run("named target ports, several ports", func(t *testing.T) {
		ip := ns.value(t, "service/named", "{.spec.clusterIP}")
		for _, port := range []string{"80", "81"} {
			waitForAnswer(t, "http://"+ip+":"+port, "web")
			ns.waitForTool(t, "web", "client", "http-get", "http://named:"+port)
		}
	})
	t.Run("a pod reaches itself through its own Service", func(t *testing.T) {
		ns.waitForTool(t, "web", "web", "http-get", "http://named")
	})
	t.Run("TCP that is not HTTP", func(t *testing.T) {
		ns.waitForTool(t, "line", "client", "tcp-get", "line:70")
	})
	t.Run("UDP from a pod, from the host and on localhost", func(t *testing.T) {
		ns.waitForTool(t, "packet hello", "client", "udp-get", "packet:53", "hello")
		for _, addr := range []string{
			ns.value(t, "service/packet", "{.spec.clusterIP}") + ":53",
			"127.0.0.1:" + ns.value(t, "service/packet", "{.spec.ports[0].nodePort}"),
		} {
			eventually(t, func() error { return askUDP(addr, "packet hello") })
		}
	})
	t.Run("a pod reaches a program of this machine by name", func(t *testing.T) {
		listener, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		program := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "machine") })}
		ended := make(chan error, 1)
		go func() { ended <- program.Serve(listener) }()
		defer func() { program.Close(); <-ended }()
		for _, name := range []string{"host.docker.internal", "host.kube-lite.internal"} {
			ns.waitForTool(t, "machine", "client", "http-get", fmt.Sprintf("http://%s:%d", name, listener.Addr().(*net.TCPAddr).Port))
		}
	})
	t.Run("UDP follows a pod that is replaced", func(t *testing.T) {
		// A client that keeps its port must not be sent to the old pod for ever.
		conn, err := net.Dial("udp", ns.value(t, "service/packet", "{.spec.clusterIP}")+":53")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		eventually(t, func() error { return askOn(conn, "packet hello") })
		ns.must(t, "delete", "pod", "packet")
		ns.apply(t, toolPod("packet", `udp-serve, ":5353", another`, "{name: packet-port, containerPort: 5353, protocol: UDP}"))
		eventually(t, func() error { return askOn(conn, "another hello") })
	})
	t.Run("without ready pods a Service refuses at once", ns.testRefusal)
	t.Run("session affinity", ns.testAffinity)
	t.Run("endpoints made by hand", ns.testHandMade)
}

func askUDP(addr, want string) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return askOn(conn, want)
}

// askOn sends "hello" and wants that answer.
func askOn(conn net.Conn, want string) error {
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	buf := make([]byte, 100)
	size, err := conn.Read(buf)
	if err != nil {
		return err
	}
	if got := string(buf[:size]); got != want {
		return fmt.Errorf("%v answers %q, want %q", conn.RemoteAddr(), got, want)
	}
	return nil
}

func (n namespace) testRefusal(t *testing.T) {
	ip := n.value(t, "service/none", "{.spec.clusterIP}")
	for _, addr := range []string{ip + ":80", "127.0.0.1:" + n.value(t, "service/none", "{.spec.ports[0].nodePort}")} {
		began := time.Now()
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if took := time.Since(began); err == nil || !errors.Is(err, syscall.ECONNREFUSED) || took > atOnce {
			t.Errorf("connecting to %s: %v after %v, want a refusal at once", addr, err, took)
		}
		if conn != nil {
			conn.Close()
		}
	}
	if _, err := n.tool(t, "client", "tcp-get", "none:80"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("from a pod: %v, want a refusal", err)
	}
	if _, err := n.tool(t, "client", "udp-get", "none:80", "hello"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("UDP from a pod: %v, want a refusal", err)
	}
	// The kernel does not even let this machine's own packets out.
	if err := askUDP(ip+":80", ""); !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("UDP: %v, want a refusal", err)
	}
	// With its pod the Service serves, without it refuses again.
	n.must(t, "patch", "service", "none", "-p", `{"spec":{"selector":{"app":"line"}}}`)
	n.must(t, "patch", "service", "none", "--type=json", "-p", `[{"op":"replace","path":"/spec/ports/0/targetPort","value":7070}]`)
	n.waitForTool(t, "line", "client", "tcp-get", "none:80")
	n.must(t, "patch", "service", "none", "-p", `{"spec":{"selector":{"app":"nobody"}}}`)
	eventually(t, func() error {
		conn, err := net.DialTimeout("tcp", ip+":80", 5*time.Second)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("connecting after the last endpoint has gone: %v, want a refusal", err)
		}
		return nil
	})
}

func (n namespace) testAffinity(t *testing.T) {
	n.apply(t, textServer("many", "$(POD)"))
	n.must(t, "patch", "deployment", "many", "-p", `{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"server","env":[{"name":"POD","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}]}}}}`)
	n.must(t, "rollout", "status", "deployment/many", "--timeout=120s")
	pods := n.waitForPods(t, 3, "many-.*", "--selector=app=many")
	url := "http://" + n.value(t, "service/many", "{.spec.clusterIP}")
	answers := func() (names []string) {
		t.Helper()
		for range 30 {
			body, _, err := get(url)
			if err != nil {
				t.Fatal(err)
			}
			if body = strings.TrimSpace(body); !slices.Contains(names, body) {
				names = append(names, body)
			}
		}
		slices.Sort(names)
		return names
	}
	eventually(t, func() error {
		if _, _, err := get(url); err != nil {
			return err
		}
		if got := answers(); !slices.Equal(got, pods) {
			return fmt.Errorf("without affinity answers come from %v, want %v", got, pods)
		}
		return nil
	})
	n.must(t, "patch", "service", "many", "-p", `{"spec":{"sessionAffinity":"ClientIP"}}`)
	eventually(t, func() error {
		if got := answers(); len(got) != 1 {
			return fmt.Errorf("with affinity answers come from %v, want one", got)
		}
		return nil
	})
}

func (n namespace) testHandMade(t *testing.T) {
	n.apply(t, service("outside", "ports: [{name: http, port: 80}]")+fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: outside-1
  labels: {kubernetes.io/service-name: outside}
addressType: IPv4
ports:
- {name: http, port: 8080, protocol: TCP}
endpoints:
- addresses: [%s]
`, n.value(t, "pod/web", "{.status.podIP}")))
	waitForAnswer(t, "http://"+n.value(t, "service/outside", "{.spec.clusterIP}"), "web")
	n.waitForTool(t, "web", "client", "http-get", "http://outside")
	n.must(t, "delete", "endpointslice", "outside-1")
	eventually(t, func() error {
		if _, err := n.tool(t, "client", "http-get", "http://outside"); err == nil || !strings.Contains(err.Error(), "refused") {
			return fmt.Errorf("after its EndpointSlice has gone: %v, want a refusal", err)
		}
		return nil
	})
}

func TestNodePortThatAnotherProcessHolds(t *testing.T) {
	ns := newNamespace(t, "heldport")
	other, err := net.Listen("tcp4", "127.0.0.1:31986")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ns.apply(t, textServer("web", "web"))
	ns.must(t, "patch", "service", "web", "-p", `{"spec":{"type":"NodePort"}}`)
	waitForAnswer(t, ns.nodePort(t, "web"), "web")
	ns.apply(t, service("held", "type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 31986}]"))
	waitForAnswer(t, "http://"+ns.value(t, "service/held", "{.spec.clusterIP}"), "web")

	eventually(t, func() error {
		shown := ns.must(t, "describe", "service", "held")
		for _, want := range []string{"Warning", "31986/TCP", "is not served", "pid "} {
			if !strings.Contains(shown, want) {
				return fmt.Errorf("describe has no %q:\n%s", want, shown)
			}
		}
		return nil
	})
	// The process keeps its port, the other Service its own.
	accepted := make(chan error, 1)
	go func() {
		conn, err := other.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err
	}()
	conn, err := net.DialTimeout("tcp", other.Addr().String(), atOnce)
	if err != nil {
		t.Fatalf("the process that has the port got cut off: %v", err)
	}
	conn.Close()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	waitForAnswer(t, ns.nodePort(t, "web"), "web")

	other.Close()
	waitForAnswer(t, "http://localhost:31986", "web")
}

func TestDNSFromPods(t *testing.T) {
	ns := newNamespace(t, "dns")
	ns.apply(t, toolPod("one", `http-serve, ":8080"`)+toolPod("two", `http-serve, ":8080"`)+toolPod("client", "sleep")+
		service("web", "selector: {test: services}, ports: [{name: http, port: 80, targetPort: 8080}]")+
		service("headless", "clusterIP: None, selector: {app: one}, ports: [{name: http, port: 8080}]"))
	ns.waitForPods(t, 3, "(one|two|client)")
	ip := ns.value(t, "service/web", "{.spec.clusterIP}")
	dns := "dns.svc.cluster.local"

	t.Run("the five names of a Service", func(t *testing.T) {
		for _, name := range []string{"web", "web.dns", "web.dns.svc", "web.dns.svc.local", "web." + dns} {
			ns.waitForTool(t, ip, "client", "dns", "A", name)
		}
	})
	t.Run("SRV names the port", func(t *testing.T) {
		ns.waitForTool(t, "0 100 80 web."+dns+".", "client", "dns", "SRV", "_http._tcp.web."+dns)
	})
	t.Run("PTR leads back", func(t *testing.T) {
		ns.waitForTool(t, "web."+dns+".", "client", "dns", "PTR", ip)
	})
	t.Run("a pod has a name", func(t *testing.T) {
		podIP := ns.value(t, "pod/one", "{.status.podIP}")
		ns.waitForTool(t, podIP, "client", "dns", "A", strings.ReplaceAll(podIP, ".", "-")+".dns.pod.cluster.local")
	})
	t.Run("a headless Service has one record per ready pod", func(t *testing.T) {
		ns.waitForTool(t, ns.value(t, "pod/one", "{.status.podIP}"), "client", "dns", "A", "headless")
		ns.must(t, "label", "pod", "two", "--overwrite", "app=one")
		ips := []string{ns.value(t, "pod/one", "{.status.podIP}"), ns.value(t, "pod/two", "{.status.podIP}")}
		slices.Sort(ips)
		ns.waitForTool(t, strings.Join(ips, "\n"), "client", "dns", "A", "headless")
		ns.must(t, "delete", "pod", "two")
		ns.waitForTool(t, ns.value(t, "pod/one", "{.status.podIP}"), "client", "dns", "A", "headless")
	})
	t.Run("what is not there is said so", func(t *testing.T) {
		for _, name := range []string{"nobody", "nobody.dns", "nobody." + dns, "web.nowhere.svc.cluster.local"} {
			if got, err := ns.tool(t, "client", "dns", "A", name); err == nil || !strings.Contains(err.Error(), "no such host") {
				t.Errorf("%s: %q, %v; want no such host", name, got, err)
			}
		}
		if got, err := ns.tool(t, "client", "dns", "SRV", "_nothing._tcp.web."+dns); err == nil {
			t.Errorf("SRV for a port that is not there: %q", got)
		}
	})
	t.Run("the API server has its name", func(t *testing.T) {
		want := cluster.run(t, "", "get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}").stdout
		ns.waitForTool(t, want, "client", "dns", "A", "kubernetes.default")
	})
	t.Run("it follows its Service", func(t *testing.T) {
		ns.must(t, "delete", "service", "web")
		eventually(t, func() error {
			if got, err := ns.tool(t, "client", "dns", "A", "web."+dns); err == nil || !strings.Contains(err.Error(), "no such host") {
				return fmt.Errorf("web.%s: %q, %v", dns, got, err)
			}
			return nil
		})
	})
}
