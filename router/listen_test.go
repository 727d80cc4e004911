package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
)

func TestPortsOfAFlag(t *testing.T) {
	for text, want := range map[string]Ports{"80,443": {80, 443}, " 8080 , 8443": {8080, 8443}} {
		if got, err := ParsePorts(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "80", "80,", "80,80", "0,443", "80,65536", "a,b", "80,443,8080"} {
		if got, err := ParsePorts(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestTheNextPairOfPortsIsTakenWhereOneIsNotFree(t *testing.T) {
	taken, free := freePorts(t), freePorts(t)
	half := Ports{HTTP: free.HTTP, HTTPS: taken.HTTPS}
	other, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", taken.HTTPS))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	l, err := listenFirst([]Ports{taken, half, free}, local)
	if err != nil || l.ports != free {
		t.Fatalf("%v, %v; want %v", l, err, free)
	}
	l.close()
	if _, err := listenFirst([]Ports{taken, half}, local); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("no pair is free: %v", err)
	}
	if l, err = listenAt(free, local); err != nil {
		t.Errorf("what was tried is still taken: %v", err)
	} else {
		l.close()
	}
}

// lazyWorld has a router that takes the first free pair when there is an Ingress.
func lazyWorld(t testing.TB, client *fake.Clientset, pairs ...Ports) *world {
	t.Helper()
	w := &world{TB: t, client: client, events: record.NewFakeRecorder(100)}
	shared := informers.NewSharedInformerFactory(client, 0)
	var err error
	w.router, err = New(client, shared, Options{Recorder: w.events, Certificate: func(string) (*tls.Certificate, error) { return nil, errors.ErrUnsupported }})
	w.must(err)
	w.router.candidates = func(before Ports) []Ports {
		if before != (Ports{}) {
			return append([]Ports{before}, pairs...)
		}
		return pairs
	}
	w.run(w.router, shared)
	return w
}

// classSays waits until the IngressClass names these ports.
func (w *world) classSays(want Ports) {
	w.Helper()
	w.eventually(fmt.Sprint("the IngressClass names ", want), func() error {
		class, err := w.client.NetworkingV1().IngressClasses().Get(w.Context(), ClassName, metav1.GetOptions{})
		if err == nil && PortsOf(class) != want {
			return fmt.Errorf("its annotations are %v", class.Annotations)
		}
		return err
	})
}

func dialable(p Ports) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.HTTP), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func TestPortsAreTakenWhileThereAreIngresses(t *testing.T) {
	first, second := freePorts(t), freePorts(t)
	w := lazyWorld(t, fake.NewClientset(), first, second)
	w.classSays(Ports{})
	if dialable(first) {
		t.Error("the port is taken though there is no Ingress")
	}
	w.ingress(toAll("web.localhost", "web"))
	w.classSays(first)
	if !dialable(first) {
		t.Error("nobody listens where the IngressClass says")
	}
	ingresses := w.client.NetworkingV1().Ingresses("default")
	got, err := ingresses.Get(t.Context(), "web", metav1.GetOptions{})
	w.must(err)
	want := []networkingv1.IngressLoadBalancerIngress{{IP: "127.0.0.1", Ports: []networkingv1.IngressPortStatus{
		{Port: int32(first.HTTP), Protocol: "TCP"}, {Port: int32(first.HTTPS), Protocol: "TCP"},
	}}}
	if fmt.Sprint(got.Status.LoadBalancer.Ingress) != fmt.Sprint(want) {
		t.Errorf("the status is %+v, want %+v", got.Status.LoadBalancer.Ingress, want)
	}
	var events []string
	for range 2 {
		events = append(events, <-w.events.Events)
	}
	if want := []string{
		"Warning InvalidIngress spec.rules[0].http.paths[0]: the Service default/web does not exist",
		fmt.Sprintf("Normal Routed Reachable at http://web.localhost:%d", first.HTTP),
	}; !slices.Equal(events, want) {
		t.Errorf("events: %q", events)
	}
	w.must(ingresses.Delete(t.Context(), "web", metav1.DeleteOptions{}))
	w.classSays(Ports{})
	if dialable(first) {
		t.Error("the port is held though there is no Ingress any more")
	}
}

func TestARestartTakesThePortsOfBefore(t *testing.T) {
	before, other := freePorts(t), freePorts(t)
	class := newClass()
	class.Annotations[HTTPPortAnnotation], class.Annotations[HTTPSPortAnnotation] = fmt.Sprint(before.HTTP), fmt.Sprint(before.HTTPS)
	client := fake.NewClientset(class, parseIngresses(t, toAll("web.localhost", "web"))[0])
	w := lazyWorld(t, client, other)
	w.eventually("the ports of before are served", func() error {
		if !dialable(before) {
			return errors.New("nobody listens")
		}
		return nil
	})
	w.classSays(before)
}

func TestWhichIngressesAreServed(t *testing.T) {
	class := func(name, controller string, isDefault bool) *networkingv1.IngressClass {
		c := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
		if isDefault {
			c.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
		}
		return c
	}
	for _, c := range []struct {
		name, class, legacy string
		ours                *networkingv1.IngressClass
		want                bool
	}{
		{"ours by name", ClassName, "", newClass(), true},
		{"ours by annotation", "", ClassName, newClass(), true},
		{"another class of ours", "second", "", newClass(), true},
		{"another controller's", "theirs", "", newClass(), false},
		{"another controller's by annotation", "", "theirs", newClass(), false},
		{"of a class that is not there", "nginx", "", newClass(), true},
		{"of no class", "", "", newClass(), true},
		{"of no class, ours is not the default", "", "", class(ClassName, Controller, false), false},
		{"ours by name, not the default", ClassName, "", class(ClassName, Controller, false), true},
		{"ours is not there yet", ClassName, "", class("x", "y", false), true},
	} {
		shared := informers.NewSharedInformerFactory(fake.NewClientset(c.ours, class("theirs", "example.com/x", false), class("second", Controller, false)), 0)
		w, err := newWatcher(shared)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		shared.Start(ctx.Done())
		w.awaitSync(ctx)
		ingress := parseIngresses(t, toAll("h", "web"))[0]
		if c.class != "" {
			ingress.Spec.IngressClassName = &c.class
		}
		if c.legacy != "" {
			ingress.Annotations = map[string]string{legacyClassAnnotation: c.legacy}
		}
		if got := w.isOurs(ingress); got != c.want {
			t.Errorf("%s: served is %v, want %v", c.name, got, c.want)
		}
		cancel()
		shared.Shutdown()
	}
}

func TestRetireTakesBackWhatWasTold(t *testing.T) {
	const text = "metadata: {name: %s}\nspec: {ingressClassName: %s}\nstatus: {loadBalancer: {ingress: [{ip: 127.0.0.1, ports: [%s]}]}}"
	ours, theirs := "{port: 80, protocol: TCP}, {port: 443, protocol: TCP}", ""
	class := newClass()
	class.Annotations[HTTPPortAnnotation], class.Annotations[HTTPSPortAnnotation] = "80", "443"
	client := fake.NewClientset(class)
	for _, document := range []string{fmt.Sprintf(text, "of-the-class", ClassName, ours), fmt.Sprintf(text, "of-no-class-there", "nginx", ours), fmt.Sprintf(text, "theirs", "nginx", theirs)} {
		if err := client.Tracker().Add(parseIngresses(t, document)[0]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing to do
		if err := Retire(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"of-the-class": 0, "of-no-class-there": 0, "theirs": 1} {
		got, err := client.NetworkingV1().Ingresses("default").Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || len(got.Status.LoadBalancer.Ingress) != want {
			t.Errorf("the status of %s is %+v, %v", name, got.Status, err)
		}
	}
	if classes, err := client.NetworkingV1().IngressClasses().List(t.Context(), metav1.ListOptions{}); err != nil || len(classes.Items) > 0 {
		t.Errorf("classes: %+v, %v", classes.Items, err)
	}
}
