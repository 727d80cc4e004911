//lint:file-ignore SA1019 Endpoints are deprecated for clients; serving those that still read them is what this file is for.

package orchestrator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func testService(change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: "default", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "echo"}, ClusterIP: "10.96.0.20", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web"), Protocol: corev1.ProtocolTCP}},
		},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func (f *fakeAPI) createService(t *testing.T, s *corev1.Service) {
	t.Helper()
	if _, err := f.client.CoreV1().Services(s.Namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// createPod makes a pod that the Service selects, bound to the node, with its
// port "web" at number.
func (f *fakeAPI) createPod(t *testing.T, name, ip string, ready bool, number int32) {
	t.Helper()
	pod := testPod(name, func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "echo"}
		p.Spec.NodeName = "node"
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: number, Protocol: corev1.ProtocolTCP}}
	})
	got, err := f.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.setStatus(t, got, ready, ip)
}

// slicesText renders all slices: address:ports and what is true of each endpoint.
func (f *fakeAPI) slicesText(t *testing.T) string {
	t.Helper()
	list, err := f.client.DiscoveryV1().EndpointSlices("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			var b strings.Builder
			b.WriteString(e.Addresses[0])
			for _, p := range slice.Ports {
				fmt.Fprintf(&b, ":%d", *p.Port)
			}
			for name, on := range map[string]*bool{" ready": e.Conditions.Ready} {
				if on != nil && *on {
					b.WriteString(name)
				}
			}
			if e.Conditions.Serving != nil && *e.Conditions.Serving {
				b.WriteString(" serving")
			}
			if e.Conditions.Terminating != nil && *e.Conditions.Terminating {
				b.WriteString(" terminating")
			}
			lines = append(lines, b.String())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

func (f *fakeAPI) endpointsText(t *testing.T) string {
	t.Helper()
	e, err := f.client.CoreV1().Endpoints("default").Get(t.Context(), "echo", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, s := range e.Subsets {
		for _, a := range s.Addresses {
			lines = append(lines, fmt.Sprintf("%s:%d", a.IP, s.Ports[0].Port))
		}
		for _, a := range s.NotReadyAddresses {
			lines = append(lines, fmt.Sprintf("(%s:%d)", a.IP, s.Ports[0].Port))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

func (f *fakeAPI) wantEndpoints(t *testing.T, slices, endpoints string) {
	t.Helper()
	eventually(t, func() error {
		if got := f.slicesText(t); got != slices {
			return fmt.Errorf("slices hold %q, want %q", got, slices)
		}
		if got := f.endpointsText(t); got != endpoints {
			return fmt.Errorf("endpoints hold %q, want %q", got, endpoints)
		}
		return nil
	})
}

func TestEndpointsFollowThePods(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	f.createService(t, testService())
	f.wantEndpoints(t, "", "")
	f.createPod(t, "a", "10.244.0.2", true, 8080)
	f.createPod(t, "b", "10.244.0.3", false, 9090) // its "web" is another port
	f.wantEndpoints(t, "10.244.0.2:8080 ready serving, 10.244.0.3:9090", "(10.244.0.3:9090), 10.244.0.2:8080")

	f.setStatus(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default"}}, true, "")
	f.wantEndpoints(t, "10.244.0.2:8080 ready serving, 10.244.0.3:9090 ready serving", "10.244.0.2:8080, 10.244.0.3:9090")

	// A pod on its way out serves what it has, but gets nothing new.
	if err := f.client.CoreV1().Pods("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantEndpoints(t, "10.244.0.2:8080 serving terminating, 10.244.0.3:9090 ready serving", "10.244.0.3:9090")
	if err := f.client.CoreV1().Pods("default").Delete(t.Context(), "a", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	f.wantEndpoints(t, "10.244.0.3:9090 ready serving", "10.244.0.3:9090")
}

func TestSlicesCarryTheMarksThatToolsLookFor(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	f.createService(t, testService())
	f.createPod(t, "a", "10.244.0.2", true, 8080)
	f.wantEndpoints(t, "10.244.0.2:8080 ready serving", "10.244.0.2:8080")
	list, err := f.client.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d slices, %v", len(list.Items), err)
	}
	slice := list.Items[0]
	if l := slice.Labels; l[discoveryv1.LabelManagedBy] != "endpointslice-controller.k8s.io" || l[discoveryv1.LabelServiceName] != "echo" || l["team"] != "a" {
		t.Errorf("labels %v", l)
	}
	if e := slice.Endpoints[0]; e.NodeName == nil || *e.NodeName != "node" || e.TargetRef == nil || e.TargetRef.Kind != "Pod" || e.TargetRef.Name != "a" {
		t.Errorf("endpoint %+v", e)
	}
	if ref := metav1.GetControllerOf(&slice); ref == nil || ref.Kind != "Service" || ref.Name != "echo" {
		t.Errorf("owner %v", ref)
	}
}

func TestNotReadyAddressesArePublishedOnRequest(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	f.createService(t, testService(func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }))
	f.createPod(t, "a", "10.244.0.2", false, 8080)
	f.wantEndpoints(t, "10.244.0.2:8080 ready", "10.244.0.2:8080")
}

func TestSliceHoldsAtMostAHundredEndpoints(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	for i := range 101 {
		f.createPod(t, fmt.Sprint("p", i), fmt.Sprintf("10.244.1.%d", i+1), true, 80)
	}
	f.createService(t, testService())
	eventually(t, func() error {
		list, err := f.client.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		total := 0
		for _, s := range list.Items {
			if len(s.Endpoints) > 100 {
				t.Fatalf("a slice of %d endpoints", len(s.Endpoints))
			}
			total += len(s.Endpoints)
		}
		if len(list.Items) != 2 || total != 101 {
			return fmt.Errorf("%d endpoints in %d slices, want 101 in 2", total, len(list.Items))
		}
		return nil
	})
}

func TestEndpointsGoWithTheirService(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	f.createService(t, testService())
	f.createPod(t, "a", "10.244.0.2", true, 8080)
	f.wantEndpoints(t, "10.244.0.2:8080 ready serving", "10.244.0.2:8080")
	if err := f.client.CoreV1().Services("default").Delete(t.Context(), "echo", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantEndpoints(t, "", `endpoints "echo" not found`)
}

func TestHandMadeEndpointsAreMirrored(t *testing.T) {
	f := start(t)
	f.createService(t, testService(func(s *corev1.Service) { s.Spec.Selector = nil }))
	made := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "echo", Namespace: "default"},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, NotReadyAddresses: []corev1.EndpointAddress{{IP: "192.0.2.2"}},
			Ports: []corev1.EndpointPort{{Name: "http", Port: 81, Protocol: corev1.ProtocolTCP}},
		}},
	}
	made, err := f.client.CoreV1().Endpoints("default").Create(t.Context(), made, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.wantEndpoints(t, "192.0.2.1:81 ready, 192.0.2.2:81", "(192.0.2.2:81), 192.0.2.1:81")

	made.Subsets[0].NotReadyAddresses = nil
	if _, err := f.client.CoreV1().Endpoints("default").Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantEndpoints(t, "192.0.2.1:81 ready", "192.0.2.1:81")

	if err := f.client.CoreV1().Endpoints("default").Delete(t.Context(), "echo", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantEndpoints(t, "", `endpoints "echo" not found`)
}

func TestEndpointsMarkedNotToBeMirroredAreNot(t *testing.T) {
	if mirrored(&corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"}}}) {
		t.Error("endpoints with the skip label are mirrored")
	}
}

func TestEndpointsBeyondTheCapacityAreDroppedNotReadyFirst(t *testing.T) {
	var pods []*corev1.Pod
	for i := range addressesPerEndpoints + 5 {
		pods = append(pods, testPod(fmt.Sprint("p", i), func(p *corev1.Pod) {
			ip := fmt.Sprintf("10.1.%d.%d", i/250, i%250)
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 80, Protocol: corev1.ProtocolTCP}}
			p.Status.PodIP, p.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
			if i >= 10 { // the first ten are not ready
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			}
		}))
	}
	got := endpointsFor(testService(), pods, nil)
	if s := got.Subsets[0]; len(s.Addresses) != 995 || len(s.NotReadyAddresses) != 5 || got.Annotations[corev1.EndpointsOverCapacity] != "truncated" {
		t.Errorf("%d ready, %d not, annotations %v; want 995, 5 and the mark", len(s.Addresses), len(s.NotReadyAddresses), got.Annotations)
	}
}
