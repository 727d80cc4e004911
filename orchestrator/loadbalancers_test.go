package orchestrator_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// freePort is one that no program has at any of the machine's addresses at the moment.
func freePort(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	fatal(t, err)
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// balanced makes a Service of type LoadBalancer, and changes it before.
func (c *cluster) balanced(name string, port int32, change ...func(*corev1.Service)) *corev1.Service {
	c.t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: port}}},
	}
	for _, f := range change {
		f(s)
	}
	s, err := c.client.CoreV1().Services("default").Create(c.t.Context(), s, metav1.CreateOptions{})
	fatal(c.t, err)
	return s
}

// wantAddress waits until the Service has these addresses only, separated by spaces.
func (c *cluster) wantAddress(name, want string) {
	c.t.Helper()
	eventually(c.t, func() error {
		s, err := c.client.CoreV1().Services("default").Get(c.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var got []string
		for _, at := range s.Status.LoadBalancer.Ingress {
			got = append(got, at.IP)
		}
		if strings.Join(got, " ") != want {
			return fmt.Errorf("Service %s has the addresses %q, want %q", name, got, want)
		}
		return nil
	})
}

// wantEvent waits for an event on the Service that has the text.
func (c *cluster) wantEvent(service, reason, text string) {
	c.t.Helper()
	eventually(c.t, func() error {
		events, err := c.client.CoreV1().Events("default").List(c.t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + service})
		if err == nil && !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.Reason == reason && strings.Contains(e.Message, text) }) {
			err = fmt.Errorf("no event %s with %q on Service %s", reason, text, service)
		}
		return err
	})
}

func (c *cluster) remove(service string) {
	c.t.Helper()
	fatal(c.t, c.client.CoreV1().Services("default").Delete(c.t.Context(), service, metav1.DeleteOptions{}))
	eventually(c.t, func() error {
		if _, err := c.client.CoreV1().Services("default").Get(c.t.Context(), service, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("Service %s is still there: %v", service, err)
		}
		return nil
	})
}

func TestServicesOfTypeLoadBalancerGetALoopbackAddress(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	port := freePort(t)
	c.balanced("first", port)
	c.wantAddress("first", "127.0.0.1")
	c.balanced("second", port)
	c.wantAddress("second", "127.0.0.2")
	c.wantEvent("second", "LoadBalancerAddress", fmt.Sprintf("127.0.0.2, since at 127.0.0.1 port %d/TCP belongs to Service default/first", port))
	c.balanced("datagrams", port, func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP })
	c.wantAddress("datagrams", "127.0.0.1")
	c.balanced("another", freePort(t))
	c.wantAddress("another", "127.0.0.1")
	c.balanced("others", port, func(s *corev1.Service) { s.Spec.LoadBalancerClass = ptr.To("example.com/others") })

	c.end() // after a restart each has its address
	c.start()
	c.balanced("third", port)
	c.wantAddress("third", "127.0.0.3")
	for name, want := range map[string]string{"first": "127.0.0.1", "second": "127.0.0.2", "another": "127.0.0.1", "others": ""} {
		c.wantAddress(name, want)
	}

	c.remove("first") // whose address is free then, and nobody moves
	c.balanced("fourth", port)
	c.wantAddress("fourth", "127.0.0.1")
	c.wantAddress("second", "127.0.0.2")

	second, err := c.client.CoreV1().Services("default").Get(t.Context(), "second", metav1.GetOptions{})
	fatal(t, err)
	second.Spec.Type = corev1.ServiceTypeClusterIP
	second.Spec.Ports[0].NodePort, second.Spec.AllocateLoadBalancerNodePorts, second.Spec.ExternalTrafficPolicy = 0, nil, ""
	_, err = c.client.CoreV1().Services("default").Update(t.Context(), second, metav1.UpdateOptions{})
	fatal(t, err)
	c.wantAddress("second", "")
	c.balanced("fifth", port)
	c.wantAddress("fifth", "127.0.0.2")
}

func TestALoadBalancerAvoidsPortsOfPrograms(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	program, err := net.Listen("tcp4", "127.0.0.1:0")
	fatal(t, err)
	defer program.Close()
	port := int32(program.Addr().(*net.TCPAddr).Port)
	c.balanced("web", port)
	c.wantAddress("web", "127.0.0.2")
	c.wantEvent("web", "LoadBalancerAddress", fmt.Sprintf("port %d/TCP is in use by a program of this machine", port))

	other := freePort(t) // a Service that gets another port moves if it has to
	s := c.balanced("moves", other)
	c.wantAddress("moves", "127.0.0.1")
	s, err = c.client.CoreV1().Services("default").Get(t.Context(), s.Name, metav1.GetOptions{})
	fatal(t, err)
	s.Spec.Ports[0].Port = port
	_, err = c.client.CoreV1().Services("default").Update(t.Context(), s, metav1.UpdateOptions{})
	fatal(t, err)
	c.wantAddress("moves", "127.0.0.3")
}

func TestALoadBalancerIPIsTakenOrRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	port := freePort(t)
	at := func(ip string) func(*corev1.Service) { return func(s *corev1.Service) { s.Spec.LoadBalancerIP = ip } }
	c.balanced("mine", port, at("127.0.0.77"))
	c.wantAddress("mine", "127.0.0.77")
	c.balanced("also", port, at("127.0.0.77"))
	c.wantEvent("also", "SyncLoadBalancerFailed", fmt.Sprintf("spec.loadBalancerIP 127.0.0.77: port %d/TCP belongs to Service default/mine", port))
	c.balanced("elsewhere", port, at("203.0.113.5"))
	c.wantEvent("elsewhere", "SyncLoadBalancerFailed", "spec.loadBalancerIP 203.0.113.5 is no IPv4 address of this machine")
	for _, name := range []string{"also", "elsewhere"} {
		c.wantAddress(name, "")
	}
}
