package netproxy

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhichPodsHavePortsOfThisMachine(t *testing.T) {
	change := func(p *corev1.Pod, do func(*corev1.Pod)) *corev1.Pod { do(p); return p }
	older := change(pod("older", podA, "9000/TCP"), func(p *corev1.Pod) { p.CreationTimestamp.Time = time.Unix(100, 0) })
	younger := change(pod("younger", podB, "9000/TCP"), func(p *corev1.Pod) { p.CreationTimestamp.Time = time.Unix(200, 0) })
	for what, c := range map[string]struct {
		pods []*corev1.Pod
		want []string
	}{
		"none":              {[]*corev1.Pod{pod("p", podA)}, nil},
		"both protocols":    {[]*corev1.Pod{pod("p", podA, "9000/UDP", "9000/TCP")}, []string{"default/p@*:9000/tcp 10.244.0.2:8080", "default/p@*:9000/udp 10.244.0.2:8080"}},
		"no protocol said":  {[]*corev1.Pod{pod("p", podA, "9000/")}, []string{"default/p@*:9000/tcp 10.244.0.2:8080"}},
		"of one address":    {[]*corev1.Pod{pod("p", podA, "127.0.0.1:9000/TCP")}, []string{"default/p@127.0.0.1:9000/tcp 10.244.0.2:8080"}},
		"no address yet":    {[]*corev1.Pod{pod("p", "", "9000/TCP")}, []string{"default/p@*:9000/tcp invalid AddrPort"}},
		"of another node":   {[]*corev1.Pod{change(pod("p", podA, "9000/TCP"), func(p *corev1.Pod) { p.Spec.NodeName = "n2" })}, nil},
		"in its network":    {[]*corev1.Pod{change(pod("p", podA, "9000/TCP"), func(p *corev1.Pod) { p.Spec.HostNetwork = true })}, nil},
		"ended":             {[]*corev1.Pod{change(pod("p", podA, "9000/TCP"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })}, nil},
		"of init":           {[]*corev1.Pod{change(pod("p", podA, "9000/TCP"), func(p *corev1.Pod) { p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers, nil })}, []string{"default/p@*:9000/tcp 10.244.0.2:8080"}},
		"two want the same": {[]*corev1.Pod{younger, older}, []string{"default/older@*:9000/tcp 10.244.0.2:8080"}},
		"one has an address": {[]*corev1.Pod{change(older.DeepCopy(), func(p *corev1.Pod) { p.Status.PodIP = "" }), younger},
			[]string{"default/younger@*:9000/tcp 10.244.0.3:8080"}},
	} {
		var got []string
		for _, h := range hostSnapshot(c.pods, oneNode("n1"), ipv4) {
			got = append(got, h.String()+" "+h.To.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", what, got, c.want)
		}
	}
}

func TestALongNameFitsARule(t *testing.T) {
	p := pod(strings.Repeat("n", 253), podA, "9000/TCP")
	p.Namespace = strings.Repeat("s", 63)
	if got := hostSnapshot([]*corev1.Pod{p}, oneNode("n1"), ipv4)[0].comment(); len(got) > 255 || !strings.HasSuffix(got, "n@*:9000/tcp") {
		t.Errorf("the comment has %d characters: %s", len(got), got)
	}
}

// declare makes or changes a Pod.
func (d *daemon) declare(t *testing.T, p *corev1.Pod) {
	t.Helper()
	pods := d.client.CoreV1().Pods(p.Namespace)
	_, err := pods.Get(context.Background(), p.Name, metav1.GetOptions{})
	if err != nil {
		_, err = pods.Create(context.Background(), p, metav1.CreateOptions{})
	} else {
		_, err = pods.Update(context.Background(), p, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPodsPortsOfThisMachineComeAndGo(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		const to = "127.0.0.1:9080"
		answers := func(want string) func() bool {
			return func() bool { return l.ask("host", "tcp://"+to) == want && l.ask("host", "udp://"+to) == want }
		}
		d.declare(t, pod("p", "", "9080/TCP", "9080/UDP"))
		eventually(t, "no process can take the port any more", func() bool {
			other, err := net.Listen("tcp", to)
			if err == nil {
				other.Close()
			}
			return err != nil
		})
		eventually(t, "a pod that starts refuses", answers(refused))
		d.declare(t, pod("p", podA, "9080/TCP", "9080/UDP"))
		eventually(t, "it answers", answers("10.244.0.2:8080<-10.244.0.1"))
		silent := pod("p", podA, "9080/TCP", "9080/UDP")
		silent.Spec.Containers[0].Ports[0].ContainerPort, silent.Spec.Containers[0].Ports[1].ContainerPort = 8099, 8099
		d.declare(t, silent)
		eventually(t, "a pod that does not listen refuses", answers(refused))
		ended := pod("p", podA, "9080/TCP", "9080/UDP")
		ended.Status.Phase = corev1.PodSucceeded
		d.declare(t, ended)
		eventually(t, "a pod that has ended gives its port back", func() bool {
			listener, err := net.Listen("tcp", to)
			if err == nil {
				listener.Close()
			}
			return err == nil
		})
	})
}

func TestUDPClientsOfAHostPortFollowItsPods(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		c, err := net.Dial("udp4", "127.0.0.1:9080")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		says := func(want string) func() bool {
			return func() bool {
				_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
				buffer := make([]byte, 64)
				if _, err := c.Write([]byte("?")); err != nil {
					return false
				}
				n, _ := c.Read(buffer)
				return strings.HasPrefix(string(buffer[:n]), want)
			}
		}
		says("nothing yet")() // a flow from before there is a pod
		for i, address := range []string{podA, podB} {
			name := fmt.Sprintf("p%d", i)
			d.declare(t, pod(name, address, "9080/UDP"))
			eventually(t, address+" answers the same socket", says(address))
			if err := d.client.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAPortOfThisMachineThatAProcessHas(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		taken, err := net.Listen("tcp4", "127.0.0.1:9080")
		if err != nil {
			t.Fatal(err)
		}
		d := l.start(testOptions("test", testBridge), world())
		d.declare(t, pod("p", podA, "9080/TCP", "127.0.0.1:9081/TCP"))
		if event := l.event(d); !strings.Contains(event, "Warning HostPortUnavailable hostPort 9080/TCP is not served: ") || !strings.Contains(event, "(pid ") {
			t.Errorf("the event: %s", event)
		}
		eventually(t, "its other port is served", func() bool {
			return l.ask("host", "tcp://127.0.0.1:9081") == "10.244.0.2:8080<-10.244.0.1"
		})
		accepted := make(chan error, 1)
		go func() {
			c, err := taken.Accept()
			if err == nil {
				c.Close()
			}
			accepted <- err
		}()
		l.ask("host", "tcp://127.0.0.1:9080")
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		taken.Close()
		eventually(t, "the port is served once it is free", func() bool {
			return l.ask("host", "tcp://127.0.0.1:9080") == "10.244.0.2:8080<-10.244.0.1"
		})
		if event := l.event(d); !strings.Contains(event, "Normal HostPortServed") {
			t.Errorf("second event: %s", event)
		}
	})
}
