package netproxy

import (
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// dropWait is how long a packet is waited for that has to be dropped: one that passes is answered in a fraction of it.
const dropWait = 300 * time.Millisecond

// passesIn tells whether a connection got an answer of whatever kind. Who does not listen refuses, and that is one.
func (l *lab) passesIn(from, to string, limit time.Duration) bool {
	passes := false
	l.in(from, func() error {
		answer := askWithin(to, limit)
		passes = answer == refused || strings.Contains(answer, "<-")
		return nil
	})
	return passes
}

func TestEveryPolicyInTheKernel(t *testing.T) { inEachMode(t, testEveryPolicy) }

func TestEveryPolicyOfIPv6InTheKernel(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.family = ipv6
		testEveryPolicy(t, l)
	})
}

func testEveryPolicy(t *testing.T, l *lab) {
	l.servePods()
	if seen, err := l.host().ensure(); err != nil || !seen {
		t.Fatalf("preparing the kernel: %v, %v", seen, err)
	}
	b, want := l.backend(), l.policyDesired(nil)
	real := map[string]bool{podA: true, podB: true, strangerLAN: true, "host": true, gateway: true}
	for _, c := range policyCases {
		t.Run(c.says, func(t *testing.T) {
			l.t = t
			var changed changes
			want.setPolicies(c.setOf(t, l.family), &changed)
			if _, err := b.apply(t.Context(), want, changed); err != nil {
				t.Fatal(err)
			}
			if whole, err := b.verify(t.Context()); err != nil || !whole {
				t.Errorf("what the kernel has is not what was wanted: %v, %v", whole, err)
			}
			var all sync.WaitGroup
			c.probes(func(probe, from, to string, passes bool) {
				_, at, _ := strings.Cut(to, "://")
				host, _, _ := strings.Cut(at, ":")
				if !real[from] || !real[host] || strings.HasPrefix(to, "sctp") {
					return
				}
				passes = passes && !l.atTheBorder(from, to)
				limit := dropWait
				if passes {
					limit = deadline
				}
				all.Go(func() {
					if got := l.passesIn(l.text(from), l.text(to), limit); got != passes {
						t.Errorf("%s: passes %v, want %v", probe, got, passes)
					}
				})
			})
			all.Wait()
		})
	}
}

// setPolicies puts these in the place of those of the namespace default.
func (d *daemon) setPolicies(t *testing.T, text string) {
	t.Helper()
	api := d.client.NetworkingV1().NetworkPolicies("default")
	have, err := api.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, p := range policiesIn(t, text) {
		wanted[p.Name] = true
		_, err := api.Create(t.Context(), p, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			_, err = api.Update(t.Context(), p, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range have.Items {
		if wanted[p.Name] {
			continue
		}
		if err := api.Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// policyWorld has Services, Namespaces and Pods.
func policyWorld() kubernetes.Interface {
	client := world()
	for _, ns := range policyNamespaces() {
		_ = client.Tracker().Add(ns)
	}
	for _, p := range policyPods() {
		_ = client.Tracker().Add(p)
	}
	return client
}

const denyAll = `{podSelector: {}, policyTypes: [Ingress, Egress]}`

func TestPoliciesComeAndGo(t *testing.T) { inEachMode(t, testPoliciesComeAndGo) }

func testPoliciesComeAndGo(t *testing.T, l *lab) {
	l.servePods()
	d := l.start(testOptions("test", testBridge), policyWorld())
	before := l.sh("iptables-save -t filter | grep -v '^#' | sed 's/ \\[.*//'")
	answers := func() bool { return strings.Contains(l.ask(podB, "tcp://"+podA+":8080"), "<-") }
	silent := func() bool { return !l.passesIn(podB, "tcp://"+podA+":8080", dropWait) }
	if !answers() {
		t.Fatal("without policies a pod does not answer")
	}
	d.setPolicies(t, policyText("deny", denyAll))
	eventually(t, "a policy forbids", silent)
	if got := l.ask("host", "tcp://"+podA+":8080"); !strings.Contains(got, "<-") {
		t.Errorf("this machine itself: %s", got)
	}
	if got := l.ask(podA, "tcp://10.96.0.3:80"); got != "10.244.0.2:8080<-10.244.0.1" {
		t.Errorf("a pod that calls itself: %s", got)
	}
	d.setPolicies(t, policyText("deny", denyAll)+policyText("in", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: friend}}}]}]}`))
	if !silent() {
		t.Error("a policy for others allows")
	}
	pods := d.client.CoreV1().Pods("other")
	client, err := pods.Get(t.Context(), "client", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client.Labels = map[string]string{"app": "friend"}
	if _, err := pods.Update(t.Context(), client, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the label of a pod allows", answers)
	d.setPolicies(t, "")
	eventually(t, "nothing is left of policies", func() bool {
		return l.sh("iptables-save -t filter | grep -v '^#' | sed 's/ \\[.*//'") == before
	})
	if !answers() {
		t.Error("after the policies a pod does not answer")
	}
}

// As with most implementations, a policy decides about connections when they begin.
func TestOpenConnectionsOutliveANewPolicy(t *testing.T) { inEachMode(t, testOpenConnections) }

func testOpenConnections(t *testing.T, l *lab) {
	d := l.start(testOptions("test", testBridge), policyWorld())
	accepted := make(chan net.Conn, 1)
	l.in(podA, func() error {
		listener, err := net.Listen("tcp4", podA+":7777")
		if err != nil {
			return err
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			if c, err := listener.Accept(); err == nil {
				accepted <- c
			}
		}()
		return nil
	})
	var c net.Conn
	l.in(podB, func() (err error) { c, err = net.DialTimeout("tcp4", podA+":7777", deadline); return err })
	t.Cleanup(func() { c.Close() })
	server := <-accepted
	t.Cleanup(func() { server.Close() })
	d.setPolicies(t, policyText("deny", denyAll))
	eventually(t, "a new connection is forbidden", func() bool { return !l.passesIn(podB, "tcp://"+podA+":8080", dropWait) })
	for _, way := range [][2]net.Conn{{c, server}, {server, c}} {
		buffer := make([]byte, 1)
		_ = way[1].SetReadDeadline(time.Now().Add(deadline))
		if _, err := way[0].Write([]byte("?")); err != nil {
			t.Error(err)
		}
		if _, err := way[1].Read(buffer); err != nil {
			t.Errorf("an open connection: %v", err)
		}
	}
}

// Where iptables does not see what the bridge switches, an event on each policy says what does not hold.
func TestPoliciesThatTheKernelCannotEnforceAreReported(t *testing.T) {
	l := newLab(t, ModeIPTables)
	l.servePods()
	d := l.start(testOptions("test", testBridge), policyWorld())
	if d.proxy.policies.object(types.NamespacedName{Namespace: "default", Name: "deny"}) != nil {
		t.Error("there is a policy before it is made")
	}
	d.setPolicies(t, policyText("deny", denyAll))
	eventually(t, "a policy forbids", func() bool { return !l.passesIn(podB, "tcp://"+podA+":8080", dropWait) })
	if d.proxy.policies.object(types.NamespacedName{Namespace: "default", Name: "deny"}) == nil {
		t.Error("events cannot be about a policy")
	}
	s := policySettings()
	s.masqueradePods, s.features.sctp = true, false
	var log strings.Builder
	p := &policies{all: policiesIn(t, policyText("deny", denyAll)+policyText("sctp", `{podSelector: {}, ingress: [{ports: [{port: 1, protocol: SCTP}]}]}`))}
	for range 2 {
		var all []string
		for tr, sentence := range p.troubles(s.masqueradePods, s.features, slog.New(slog.NewTextHandler(&log, nil))) {
			all = append(all, tr.name.Name+": "+sentence())
		}
		if text := strings.Join(all, "\n"); len(all) != 3 || strings.Count(text, "br_netfilter") != 2 || strings.Count(text, "sctp: SCTP stays forbidden") != 1 {
			t.Errorf("got %s", text)
		}
	}
	if got := log.String(); strings.Count(got, "level=WARN") != 1 {
		t.Errorf("the log: %s", got)
	}
}
