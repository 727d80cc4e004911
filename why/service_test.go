package why

import "testing"

// aService leads to the ready pod web.
func aService(spec, pod string) string {
	return node + `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9]` + spec + `}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {nodeName: node, containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, conditions: [{type: Ready, status: "` + pod + `"}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
endpoints: [{addresses: [10.0.0.2], conditions: {ready: ` + map[string]string{"True": "true", "False": "false"}[pod] + `}}]
`
}

const selects = ", selector: {app: web}, ports: [{port: 80, targetPort: http}]"

func TestServicesLeadToPods(t *testing.T) {
	open := func(sockets string) map[string]string { return map[string]string{"listening/ns/web": sockets} }
	checkAll(t, []fact{
		{name: "one that is well", ask: "service/web", state: OK, says: "is reached at 10.96.0.9:80", api: aService(selects, "True"), node: open(`[{"protocol":"TCP","address":"::","port":8080}]`)},
		{name: "one on another cluster", ask: "service/web", state: OK, says: "is reached at 10.96.0.9:80", api: aService(selects, "True")},
		{name: "headless", ask: "service/web", state: OK, says: "the pods' own addresses by the name web.ns (it is headless)", api: aService(selects+", clusterIP: None", "True")},
		{name: "pods that are not ready", ask: "service/web", state: Waiting, says: "container web has not been created yet", api: aService(selects, "False")},
		{name: "a value of the selector", ask: "service/web", state: Broken, says: "its selector app=wbe matches no pod: pod web has app=web", mends: "kube-lite set selector service web app=web",
			api: aService(", selector: {app: wbe}, ports: [{port: 80}]", "True")},
		{name: "a key of the selector", ask: "service/web", state: Broken, says: "its selector name=web matches no pod: pod web has no label name, but app=web", mends: "kube-lite edit service web",
			api: aService(", selector: {name: web}, ports: [{port: 80}]", "True")},
		{name: "one label too many", ask: "service/web", state: Broken, says: "its selector app=web,tier=front matches no pod: pod web has no label tier",
			api: aService(", selector: {app: web, tier: front}, ports: [{port: 80}]", "True")},
		{name: "nothing like it", ask: "service/web", state: Broken, says: "its selector job=db matches no pod, and no pod of its namespace has labels that are nearly so",
			api: aService(", selector: {job: db}, ports: [{port: 80}]", "True")},
		{name: "a deployment that is scaled to 0", ask: "service/api", state: Broken, says: "is scaled to 0, so it has no pods", mends: "kube-lite scale deployment/api --replicas=1", api: `
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {replicas: 0, template: {metadata: {labels: {app: api}}}}`},
		{name: "no selector", ask: "service/db", state: Broken, says: "has no selector, so it finds no pods by itself, and no EndpointSlice gives it an address", api: `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {ports: [{port: 80}]}`},
		{name: "no selector, and an address by hand", ask: "service/web", state: OK, says: "its EndpointSlices, made by hand, have 1 ready address", api: aService(", ports: [{port: 80}]", "True")},
		{name: "a port's name", ask: "service/web", state: Broken, says: `is named "htpt", and no container of pod web has one; there is "http"`, mends: `"path":"/spec/ports/0/targetPort","value":"http"`,
			api: aService(", selector: {app: web}, ports: [{port: 80, targetPort: htpt}]", "True")},
		{name: "a port at which nothing listens", ask: "service/web", state: Broken, says: "its port 80 leads to port 80/TCP of pod web, where nothing listens: the pod listens on 8080/TCP", mends: `"value":8080`,
			api: aService(", selector: {app: web}, ports: [{port: 80}]", "True"), node: open(`[{"protocol":"TCP","address":"0.0.0.0","port":8080}]`)},
		{name: "a port on localhost", ask: "service/web", state: Broken, says: "where the program listens on localhost only", api: aService(selects, "True"), node: open(`[{"protocol":"TCP","address":"127.0.0.1","port":8080}]`)},
		{name: "UDP", ask: "service/web", state: Broken, says: "leads to port 8080/UDP of pod web, where nothing listens", api: aService(", selector: {app: web}, ports: [{port: 80, targetPort: 8080, protocol: UDP}]", "True"),
			node: open(`[{"protocol":"TCP","address":"0.0.0.0","port":8080}]`)},
		{name: "a load balancer of others", ask: "service/web", state: Broken, says: `its loadBalancerClass "mine" leaves that to another program`, api: aService(selects+", type: LoadBalancer, loadBalancerClass: mine", "True")},
		{name: "a load balancer that fails", ask: "service/web", state: Broken, says: "its load balancer cannot be made: no address", api: aService(selects+", type: LoadBalancer", "True") + event("web", "SyncLoadBalancerFailed", "no address")},
		{name: "a cluster without DNS", ask: "service/web", state: Broken, says: "has no ready endpoint, so that pods find no Service by its name", api: aService(selects, "True") + `---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {selector: {k8s-app: kube-dns}, ports: [{port: 53}]}`},
		{name: "a cluster with DNS", ask: "service/web", state: OK, says: "is reached at", api: aService(selects, "True") + `---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {selector: {k8s-app: kube-dns}, ports: [{port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
endpoints: [{addresses: [10.0.0.1]}]`},
		{name: "an alias of an address", ask: "service/db", state: Broken, says: "DNS has aliases of names only", api: `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: 10.0.0.1}`},
		{name: "an alias of a Service", ask: "service/db", state: OK, says: "is reached at", api: aService(selects, "True") + `---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: web.ns.svc.cluster.local}`},
		{name: "an alias of no Service", ask: "service/db", state: Broken, says: `is an alias of the Service "wbe" of namespace ns, which does not exist; there is "web"`, api: aService(selects, "True") + `---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: wbe.ns.svc.cluster.local}`},
		{name: "an alias of the world", ask: "service/db", state: OK, says: "which is outside of the cluster", api: `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: db.example.com}`},
	})
}

func TestPoliciesThatIsolate(t *testing.T) {
	policy := func(spec string) string {
		return aService(selects, "True") + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {` + spec + `}`
	}
	const isolates = "isolates pod web, and no policy lets anything in on its port 8080/TCP"
	checkAll(t, []fact{
		{name: "all", ask: "service/web", state: Broken, says: isolates, mends: "kube-lite edit networkpolicy closed", api: policy("podSelector: {}, policyTypes: [Ingress]")},
		{name: "all but another port", ask: "service/web", state: Broken, says: isolates, api: policy("podSelector: {}, ingress: [{ports: [{port: 9090}]}]")},
		{name: "all but another protocol", ask: "service/web", state: Broken, says: isolates, api: policy("podSelector: {}, ingress: [{ports: [{port: 8080, protocol: UDP}]}]")},
		{name: "all but the port", ask: "service/web", state: OK, says: "is reached at", api: policy("podSelector: {}, ingress: [{ports: [{port: 8080}]}]")},
		{name: "all but the port by its name", ask: "service/web", state: OK, says: "is reached at", api: policy("podSelector: {}, ingress: [{ports: [{port: http}]}]")},
		{name: "all but a range", ask: "service/web", state: OK, says: "is reached at", api: policy("podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8100}]}]")},
		{name: "other pods", ask: "service/web", state: OK, says: "is reached at", api: policy("podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]")},
		{name: "what goes out", ask: "service/web", state: OK, says: "is reached at", api: policy("podSelector: {}, policyTypes: [Egress]")},
	})
	got, err := cluster(t, fact{api: policy("podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {role: front}}}]}]")}).ask("service/web")
	if err != nil {
		t.Fatal(err)
	}
	if seen := got.Links[len(got.Links)-1].Evidence; len(seen) != 1 || seen[0] != "NetworkPolicy closed lets in on port 8080 from pods of its namespace with role=front" {
		t.Errorf("who is let in: %q", seen)
	}
}

func TestWhyTellsOfIntercepts(t *testing.T) {
	nodes := map[string]string{
		"listening/ns/web": `[{"protocol":"TCP","address":"::","port":8080}]`,
		"intercepts": `[{"namespace":"ns","service":"web","port":80,"to":"localhost:3000","headers":[]},
			{"namespace":"ns","service":"web","port":81,"to":"localhost:3001","headers":["x-user=me"]}, {"namespace":"other","service":"web","port":80,"to":"localhost:1"}]`,
	}
	chain, err := cluster(t, fact{api: aService(selects, "True"), node: nodes}).ask("service/web")
	if err != nil || chain.State != OK || len(chain.Links) != 4 {
		t.Fatalf("got %+v, %v", chain, err)
	}
	for n, want := range map[int]string{
		1: "is intercepted: new connections to port 80 go to localhost:3000 while that takes them",
		2: "is intercepted: HTTP requests with x-user=me to port 81 go to localhost:3001 while that takes them",
	} {
		if got := chain.Links[n].Sentence; got != want {
			t.Errorf("link %d: got %q, want %q", n, got, want)
		}
	}
}
