package why

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// wayTo is what a node says of aService, with other words in place of some: "old=>new".
func wayTo(changes ...string) map[string]string {
	text := `{"dns": {"server": "10.96.0.10:53", "name": "web.ns.svc.cluster.local.", "want": ["10.96.0.9"], "answer": ["10.96.0.9"]},
		"ports": [{"port": 80, "hops": [
			{"kind": "endpoint", "address": "10.0.0.2:8080", "pod": "web"}, {"kind": "endpoint", "address": "10.0.0.3:8080"},
			{"kind": "clusterIP", "address": "10.96.0.9:80"}, {"kind": "nodePort", "address": "127.0.0.1:30080"},
			{"kind": "loadBalancer", "address": "127.0.0.1:80"}],
			"rules": [{"address": "10.96.0.9:80", "leads": true, "seen": "element of a map"}]}]}`
	for _, c := range changes {
		old, now, _ := strings.Cut(c, "=>")
		if !strings.Contains(text, old) {
			panic(fmt.Sprintf("no %s in %s", old, text))
		}
		text = strings.Replace(text, old, now, 1)
	}
	return map[string]string{"reach/ns/web": text}
}

// fails has the connection to an address fail.
func fails(address, err string) string {
	return fmt.Sprintf(`"address": %q=>"address": %[1]q, "error": %q`, address, err)
}

const (
	gone       = "connection refused"
	noRule     = `"leads": true, "seen": "element of a map"=>"leads": false, "seen": "the map has no element"`
	noServer   = `"answer": ["10.96.0.9"]=>"answer": [], "error": "asking 10.96.0.10:53: i/o timeout"`
	noClusters = `"hops": [=>"hops": [{"kind": "clusterIP", "address": "[fd00::9]:80", "error": "no answer within a second"},`
)

func TestTheFirstHopThatDoesNotAnswerIsNamed(t *testing.T) {
	api := aService(selects, "True")
	is := func(name string, state State, says, mends string, changes ...string) fact {
		return fact{name: name, ask: "service/web", api: api, node: wayTo(changes...), state: state, says: says, mends: mends}
	}
	checkAll(t, []fact{
		is("all answer", OK, "is reached at 10.96.0.9:80", ""),
		is("an endpoint of a pod", Broken, "its endpoint 10.0.0.2:8080 (pod web) of port 80 is ready, and takes no connection: connection refused", "kube-lite logs web", fails("10.0.0.2:8080", gone)),
		is("an endpoint by hand", Broken, "its endpoint 10.0.0.3:8080 of port 80 is ready, and takes no connection: no answer within a second", "nft list ruleset", fails("10.0.0.3:8080", "no answer within a second")),
		is("endpoints come first", Broken, "its endpoint 10.0.0.2:8080", "", fails("10.0.0.2:8080", gone), noRule, noServer, fails("10.96.0.9:80", gone)),
		is("another address in DNS", Broken, "DNS answers 10.96.0.7 for its name web.ns.svc.cluster.local, and its ClusterIP is 10.96.0.9", "kube-lite why service/web", `"answer": ["10.96.0.9"]=>"answer": ["10.96.0.7"]`),
		is("no address in DNS", Broken, "DNS answers with no address for its name web.ns.svc.cluster.local, and its ClusterIP is 10.96.0.9", "", `"answer": ["10.96.0.9"]=>"answer": []`),
		is("no rule", Waiting, "the kernel has no rule that leads 10.96.0.9:80 to its endpoints: kube-lite puts back within ten seconds what other programs remove", "kube-lite why service/web", noRule),
		is("a rule comes before what it leads to", Waiting, "the kernel has no rule", "", noRule, noServer, fails("10.96.0.9:80", gone), fails("127.0.0.1:30080", gone)),
		is("rules that could not be read", OK, "is reached at", "", `"leads": true, "seen": "element of a map"=>"leads": false, "seen": "", "error": "running nft: killed"`),
		is("the ClusterIP", Broken, "its ClusterIP, 10.96.0.9:80, takes no connection, though its endpoints do: connection refused", "nft list ruleset", fails("10.96.0.9:80", gone), fails("127.0.0.1:30080", gone)),
		is("the other ClusterIP", Broken, "its ClusterIP, [fd00::9]:80, takes no connection, though its endpoints do: no answer within a second", "", noClusters),
		is("no DNS server", Broken, "is reached by its address, but the cluster's DNS server, 10.96.0.10:53, gives no answer for its name web.ns.svc.cluster.local", "kube-lite why service/kube-dns -n kube-system", noServer),
		is("the NodePort", Broken, "its NodePort, 30080 at 127.0.0.1, takes no connection, though its endpoints do: connection refused", "nft list ruleset", fails("127.0.0.1:30080", gone)),
		is("the load balancer", Broken, "its load balancer, 127.0.0.1:80, takes no connection, though its endpoints do: connection refused", "", fails("127.0.0.1:80", gone)),
		{name: "a NodePort that another program has", ask: "service/web", node: wayTo(), state: Broken, mends: "ss -tlnp",
			api:  api + event("web", "NodePortUnavailable", "NodePort 30080/TCP is not served: python3 (pid 7) has it."),
			says: "its NodePort, 30080 at 127.0.0.1, leads to another program: NodePort 30080/TCP is not served: python3 (pid 7) has it."},
		{name: "a load balancer's port that another program has", ask: "service/web", node: wayTo(), state: Broken, mends: "ss -tlnp",
			api:  api + event("web", "LoadBalancerUnavailable", "load balancer port 127.0.0.1:80/TCP is not served: nginx has it."),
			says: "its load balancer, 127.0.0.1:80, leads to another program: load balancer port 127.0.0.1:80/TCP is not served: nginx has it."},
		{name: "a NodePort that is free again", ask: "service/web", node: wayTo(), state: OK, says: "is reached at",
			api: api + event("web", "NodePortUnavailable", "NodePort 30080/TCP is not served: python3 has it.") +
				strings.Replace(event("web", "NodePortServed", "NodePort 30080/TCP is free now and served"), "11:59:58", "11:59:59", 1)},
		{name: "another NodePort that another program has", ask: "service/web", node: wayTo(), state: OK, says: "is reached at",
			api: api + event("web", "NodePortUnavailable", "NodePort 30081/TCP is not served: python3 has it.")},
		{name: "headless", ask: "service/web", api: aService(selects+", clusterIP: None", "True"), node: wayTo(`"answer": ["10.96.0.9"]=>"answer": []`),
			state: Broken, says: "and its ready endpoints are 10.96.0.9"},
		{name: "a node that answers nonsense", ask: "service/web", api: api, node: map[string]string{"reach/ns/web": "?"}, state: OK, says: "is reached at"},
		{name: "an Ingress leads there", ask: "ingress/shop", node: wayTo(fails("10.96.0.9:80", gone)), state: Broken, says: "its ClusterIP, 10.96.0.9:80, takes no connection", api: api + `---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: kube-lite}
spec: {controller: kube-lite.io/router}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec: {ingressClassName: kube-lite, rules: [{host: shop.localhost, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [{ip: 127.0.0.1}]}}`},
	})
}

func TestWhyServiceSaysWhatItHasLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		changes []string
		want    []string
	}{
		"all": {nil, []string{
			"its endpoint 10.0.0.2:8080 (pod web): takes a connection", "its endpoint 10.0.0.3:8080: takes a connection",
			"its ClusterIP, 10.96.0.9:80: takes a connection", "its NodePort, 30080 at 127.0.0.1: takes a connection",
			"its load balancer, 127.0.0.1:80: takes a connection", "element of a map", "DNS: 10.96.0.10:53 answers 10.96.0.9 for web.ns.svc.cluster.local.",
		}},
		"a ClusterIP": {[]string{fails("10.96.0.9:80", gone)}, []string{
			"its endpoint 10.0.0.2:8080 (pod web): takes a connection", "its endpoint 10.0.0.3:8080: takes a connection",
			"its ClusterIP, 10.96.0.9:80: connection refused", "element of a map",
		}},
		"a rule": {[]string{noRule}, []string{"the map has no element"}},
		"DNS":    {[]string{noServer}, []string{"DNS: asking 10.96.0.10:53: i/o timeout"}},
	} {
		got, err := cluster(t, fact{api: aService(selects, "True"), node: wayTo(c.changes...)}).ask("service/web")
		if err != nil {
			t.Fatal(err)
		}
		if seen := got.Last().Evidence; !slices.Equal(seen, c.want) {
			t.Errorf("%s: seen %q, want %q", name, seen, c.want)
		}
	}
}
