package dns

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// town is a cluster with a Service of every kind.
func town() []runtime.Object {
	dual := newClusterIP("default/dual", "10.96.0.30", port("", corev1.ProtocolTCP, 80))
	dual.Spec.ClusterIPs = append(dual.Spec.ClusterIPs, "fd00::30")
	six := newSlice("data/db", "six", named("db-0", "fd00:1::5"))
	six.AddressType = discoveryv1.AddressTypeIPv6
	fqdn := newSlice("data/db", "fqdn", ready("db.example.com"))
	fqdn.AddressType = discoveryv1.AddressTypeFQDN
	return []runtime.Object{
		newNamespace("default"), newNamespace("data"), newNamespace("vacant"),
		newClusterIP("default/kubernetes", "10.96.0.1", port("https", corev1.ProtocolTCP, 443)),
		newClusterIP("default/echo", "10.96.0.20", port("http", corev1.ProtocolTCP, 80), port("metrics", corev1.ProtocolUDP, 9090)),
		newClusterIP("default/pending", ""),
		dual,
		newClusterIP("data/db", "None", port("http", corev1.ProtocolTCP, 8080)), six, fqdn,
		newSlice("data/db", "a", named("db-0", "10.244.0.5"), ready("10.244.0.6"), unready("10.244.0.7")),
		newSlice("data/db", "b", ready("10.244.0.6"), discoveryv1.Endpoint{Addresses: []string{"10.244.0.8"}}),
		newClusterIP("data/idle", "None"), newSlice("data/idle", "a", unready("10.244.0.7")),
		newSlice("default/echo", "a", ready("10.244.0.9")),
		newExternalName("default/out", "db.data.svc.cluster.local"),
		newExternalName("default/out-of-use", "gone.data.svc.cluster.local"),
		newExternalName("default/circle", "elcric.default.svc.cluster.local"),
		newExternalName("default/elcric", "circle.default.svc.cluster.local"),
	}
}

const noError, nxDomain, servFail = dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure

// TestSpecification reads like the Kubernetes DNS specification; the numbers are
// its sections.
func TestSpecification(t *testing.T) {
	c := startCluster(t, nil, town()...)
	for _, test := range []struct {
		sentence string
		question string
		rcode    int
		answer   []string // nil: no data
	}{
		{"2.2 the schema's version", "dns-version.cluster.local. TXT", noError,
			[]string{`dns-version.cluster.local. 5 IN TXT "1.1.0"`}},
		{"2.3.1 a Service has an A record with its ClusterIP", "kubernetes.default.svc.cluster.local. A", noError,
			[]string{"kubernetes.default.svc.cluster.local. 5 IN A 10.96.0.1"}},
		{"2.3.1 without an IPv6 ClusterIP there is no AAAA record", "kubernetes.default.svc.cluster.local. AAAA", noError, nil},
		{"2.3.1 a dual-stack Service has an AAAA record", "dual.default.svc.cluster.local. AAAA", noError,
			[]string{"dual.default.svc.cluster.local. 5 IN AAAA fd00::30"}},
		{"2.3.1 a dual-stack Service has an A record", "dual.default.svc.cluster.local. A", noError,
			[]string{"dual.default.svc.cluster.local. 5 IN A 10.96.0.30"}},
		{"names are compared without case, and the question's case is kept", "Echo.DEFAULT.svc.Cluster.Local. A", noError,
			[]string{"Echo.DEFAULT.svc.Cluster.Local. 5 IN A 10.96.0.20"}},
		{"a Service that waits for its ClusterIP exists", "pending.default.svc.cluster.local. A", noError, nil},
		{"the alias zone", "echo.default.svc.local. A", noError,
			[]string{"echo.default.svc.local. 5 IN A 10.96.0.20"}},
		{"the alias zone has ports", "_http._tcp.echo.default.svc.local. SRV", noError,
			[]string{"_http._tcp.echo.default.svc.local. 5 IN SRV 0 100 80 echo.default.svc.cluster.local."}},
		{"the alias zone has no pods", "10-244-0-5.data.pod.svc.local. A", nxDomain, nil},
		{"a Service of another namespace is not found here", "db.default.svc.cluster.local. A", nxDomain, nil},
		{"an unknown Service", "nobody.default.svc.cluster.local. A", nxDomain, nil},
		{"an unknown namespace", "echo.nowhere.svc.cluster.local. A", nxDomain, nil},
		{"a name below a Service", "x.echo.default.svc.cluster.local. A", nxDomain, nil},
		{"a search list's leftovers", "www.example.com.default.svc.cluster.local. A", nxDomain, nil},
		{"an escaped dot ends no label", `x\.echo.default.svc.cluster.local. A`, nxDomain, nil},

		{"2.3.2 a named port has an SRV record", "_http._tcp.echo.default.svc.cluster.local. SRV", noError,
			[]string{"_http._tcp.echo.default.svc.cluster.local. 5 IN SRV 0 100 80 echo.default.svc.cluster.local."}},
		{"2.3.2 its protocol is part of the name", "_metrics._udp.echo.default.svc.cluster.local. SRV", noError,
			[]string{"_metrics._udp.echo.default.svc.cluster.local. 5 IN SRV 0 100 9090 echo.default.svc.cluster.local."}},
		{"2.3.2 a port is not found under another protocol", "_metrics._tcp.echo.default.svc.cluster.local. SRV", nxDomain, nil},
		{"a port's name has no address", "_http._tcp.echo.default.svc.cluster.local. A", noError, nil},
		{"the protocol's name is an empty non-terminal", "_tcp.echo.default.svc.cluster.local. SRV", noError, nil},
		{"the Service's own name lists all ports (CoreDNS)", "echo.default.svc.cluster.local. SRV", noError, []string{
			"echo.default.svc.cluster.local. 5 IN SRV 0 50 80 echo.default.svc.cluster.local.",
			"echo.default.svc.cluster.local. 5 IN SRV 0 50 9090 echo.default.svc.cluster.local."}},
		{"2.3.3 a ClusterIP has a PTR record", "1.0.96.10.in-addr.arpa. PTR", noError,
			[]string{"1.0.96.10.in-addr.arpa. 5 IN PTR kubernetes.default.svc.cluster.local."}},
		{"2.3.3 an IPv6 ClusterIP too", "0.3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR", noError,
			[]string{"0.3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 5 IN PTR dual.default.svc.cluster.local."}},
		{"a ClusterIP's reverse name has nothing but PTR", "1.0.96.10.in-addr.arpa. A", noError, nil},

		{"2.4.1 a headless Service has an A record for each ready endpoint, once", "db.data.svc.cluster.local. A", noError, []string{
			"db.data.svc.cluster.local. 5 IN A 10.244.0.5",
			"db.data.svc.cluster.local. 5 IN A 10.244.0.6",
			"db.data.svc.cluster.local. 5 IN A 10.244.0.8"}},
		{"2.4.1 and an AAAA record", "db.data.svc.cluster.local. AAAA", noError,
			[]string{"db.data.svc.cluster.local. 5 IN AAAA fd00:1::5"}},
		{"2.4.1 without ready endpoints it does not exist", "idle.data.svc.cluster.local. A", nxDomain, nil},
		{"2.4.1 an endpoint with a hostname has a name", "db-0.db.data.svc.cluster.local. A", noError,
			[]string{"db-0.db.data.svc.cluster.local. 5 IN A 10.244.0.5"}},
		{"2.4.1 an endpoint without one has a name of ours", "10-244-0-6.db.data.svc.cluster.local. A", noError,
			[]string{"10-244-0-6.db.data.svc.cluster.local. 5 IN A 10.244.0.6"}},
		{"2.4.1 an endpoint that is not ready has no name", "10-244-0-7.db.data.svc.cluster.local. A", nxDomain, nil},
		{"2.4.2 a headless Service has an SRV record for each ready endpoint", "_http._tcp.db.data.svc.cluster.local. SRV", noError, []string{
			"_http._tcp.db.data.svc.cluster.local. 5 IN SRV 0 33 8080 10-244-0-6.db.data.svc.cluster.local.",
			"_http._tcp.db.data.svc.cluster.local. 5 IN SRV 0 33 8080 10-244-0-8.db.data.svc.cluster.local.",
			"_http._tcp.db.data.svc.cluster.local. 5 IN SRV 0 33 8080 db-0.db.data.svc.cluster.local."}},
		{"2.4.3 an endpoint with a hostname has a PTR record", "5.0.244.10.in-addr.arpa. PTR", noError,
			[]string{"5.0.244.10.in-addr.arpa. 5 IN PTR db-0.db.data.svc.cluster.local."}},
		{"2.4.3 an endpoint with a name of ours too", "6.0.244.10.in-addr.arpa. PTR", noError,
			[]string{"6.0.244.10.in-addr.arpa. 5 IN PTR 10-244-0-6.db.data.svc.cluster.local."}},

		{"2.5 an ExternalName is a CNAME", "out.default.svc.cluster.local. CNAME", noError,
			[]string{"out.default.svc.cluster.local. 5 IN CNAME db.data.svc.cluster.local."}},
		{"2.5 followed into the cluster", "out.default.svc.local. AAAA", noError, []string{
			"db.data.svc.cluster.local. 5 IN AAAA fd00:1::5",
			"out.default.svc.local. 5 IN CNAME db.data.svc.cluster.local."}},
		{"2.5 to a name that does not exist", "out-of-use.default.svc.cluster.local. A", nxDomain,
			[]string{"out-of-use.default.svc.cluster.local. 5 IN CNAME gone.data.svc.cluster.local."}},

		{"2.6 a Pod has a record of its address", "10-244-0-5.data.pod.cluster.local. A", noError,
			[]string{"10-244-0-5.data.pod.cluster.local. 5 IN A 10.244.0.5"}},
		{"2.6 an IPv6 address too", "FD00-1--5.data.pod.cluster.local. AAAA", noError,
			[]string{"FD00-1--5.data.pod.cluster.local. 5 IN AAAA fd00:1::5"}},
		{"2.6 but not of the other family", "10-244-0-5.data.pod.cluster.local. AAAA", noError, nil},
		{"2.6 an address that no Pod has (CoreDNS: pods insecure)", "10-1-2-3.vacant.pod.cluster.local. A", noError,
			[]string{"10-1-2-3.vacant.pod.cluster.local. 5 IN A 10.1.2.3"}},
		{"2.6 not in a namespace that does not exist", "10-1-2-3.nowhere.pod.cluster.local. A", nxDomain, nil},
		{"2.6 no address at all", "web.data.pod.cluster.local. A", nxDomain, nil},

		{"the zone exists", "cluster.local. A", noError, nil},
		{"svc exists", "svc.cluster.local. A", noError, nil},
		{"pod exists", "pod.cluster.local. A", noError, nil},
		{"the alias zone exists", "svc.local. A", noError, nil},
		{"a namespace exists", "data.svc.cluster.local. A", noError, nil},
		{"an empty namespace exists", "vacant.svc.cluster.local. AAAA", noError, nil},
		{"a namespace exists among the pods", "vacant.pod.cluster.local. A", noError, nil},
		{"a namespace exists in the alias zone", "data.svc.local. A", noError, nil},
		{"an unknown namespace does not", "nowhere.svc.cluster.local. A", nxDomain, nil},
		{"nor among the pods", "nowhere.pod.cluster.local. A", nxDomain, nil},
		{"nothing else is in the zone", "example.cluster.local. A", nxDomain, nil},
		{"the zone's name server", "cluster.local. NS", noError, []string{"cluster.local. 5 IN NS ns.dns.cluster.local."}},
		{"the zone's name server has an address", "ns.dns.cluster.local. A", noError,
			[]string{"ns.dns.cluster.local. 5 IN A 127.0.0.1"}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				reply := c.ask(network, test.question)
				if reply.Rcode != test.rcode || !reply.Authoritative || !reply.RecursionAvailable {
					t.Fatalf("%s over %s: want rcode %s, AA and RA, got\n%v", test.question, network, dns.RcodeToString[test.rcode], reply)
				}
				if got := lines(reply.Answer); !slices.Equal(got, test.answer) {
					t.Errorf("%s over %s:\n got %q\nwant %q", test.question, network, got, test.answer)
				}
				if q := newQuestion(test.question); reply.Question[0] != q.Question[0] {
					t.Errorf("the question came back as %v, want %v", reply.Question[0], q.Question[0])
				}
				checkSOA(t, reply)
			}
		})
	}
}

// checkSOA wants the zone's SOA with an answer that lacks data, else none, since
// RFC 2308 lets resolvers remember the one by the other.
func checkSOA(t *testing.T, reply *dns.Msg) {
	t.Helper()
	last := reply.Answer
	if len(last) > 0 && (reply.Rcode == noError || last[len(last)-1].Header().Rrtype != dns.TypeCNAME) {
		if len(reply.Ns) != 0 {
			t.Errorf("authority section beside data:\n%v", reply)
		}
		return
	}
	if len(reply.Ns) != 1 {
		t.Fatalf("no SOA with a negative answer:\n%v", reply)
	}
	soa, ok := reply.Ns[0].(*dns.SOA)
	if !ok || soa.Minttl != ttl || soa.Hdr.Ttl != ttl || soa.Serial == 0 {
		t.Fatalf("no SOA of %d s with a negative answer:\n%v", ttl, reply)
	}
	owner := reply.Question[0].Name
	if len(reply.Answer) > 0 {
		owner = last[len(last)-1].(*dns.CNAME).Target
	}
	if !dns.IsSubDomain(soa.Hdr.Name, owner) {
		t.Errorf("the SOA is of %s, the name is %s", soa.Hdr.Name, owner)
	}
}

func TestSOAOfTheZones(t *testing.T) {
	c := startCluster(t, nil)
	for _, zone := range []string{"cluster.local.", "svc.local.", "Cluster.Local."} {
		reply := c.ask("udp", zone+" SOA")
		if len(reply.Answer) != 1 || reply.Answer[0].Header().Name != zone || reply.Answer[0].Header().Rrtype != dns.TypeSOA {
			t.Errorf("SOA of %s:\n%v", zone, reply)
		}
	}
}

func TestSRVBringsTheAddressesOfItsTargets(t *testing.T) {
	c := startCluster(t, nil, town()...)
	reply := c.ask("tcp", "_http._tcp.db.data.svc.cluster.local. SRV")
	want := []string{
		"10-244-0-6.db.data.svc.cluster.local. 5 IN A 10.244.0.6",
		"10-244-0-8.db.data.svc.cluster.local. 5 IN A 10.244.0.8",
		"db-0.db.data.svc.cluster.local. 5 IN A 10.244.0.5",
		"db-0.db.data.svc.cluster.local. 5 IN AAAA fd00:1::5",
	}
	if got := lines(reply.Extra); !slices.Equal(got, want) {
		t.Errorf("additional records:\n got %q\nwant %q", got, want)
	}
}

func TestExternalNamesInACircleFail(t *testing.T) {
	c := startCluster(t, nil, town()...)
	if reply := c.ask("udp", "circle.default.svc.cluster.local. A"); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("want SERVFAIL, got\n%v", reply)
	}
}

func TestRecordsOfAHeadlessServiceTakeTurns(t *testing.T) {
	c := startCluster(t, nil, town()...)
	first := map[string]bool{}
	c.eventually("each of the three addresses came first", func() bool {
		reply := c.ask("udp", "db.data.svc.cluster.local. A")
		first[reply.Answer[0].String()] = true
		return len(first) == 3
	})
}

func TestAnotherDomain(t *testing.T) {
	c := newCluster(t, Options{Domain: "Kube.Example"}, nil, newClusterIP("default/echo", "10.96.0.20"))
	c.start()
	c.eventually("the Service is known", func() bool { return c.current.Load().complete })
	for _, name := range []string{"echo.default.svc.kube.example. A", "echo.default.svc.local. A"} {
		if reply := c.ask("udp", name); len(reply.Answer) != 1 {
			t.Errorf("%s:\n%v", name, reply)
		}
	}
	for _, name := range []string{"echo.default.svc.cluster.local. A", "notkube.example. A", "example. A", `x\.kube.example. A`} {
		if reply := c.ask("udp", name); reply.Authoritative {
			t.Errorf("%s is taken for the cluster's:\n%v", name, reply)
		}
	}
}
