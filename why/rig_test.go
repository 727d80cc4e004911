package why

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// noon is when all tests are; a pod that was started "at noon" was so a moment ago.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// fact is a state of the cluster, and what is to be said of an object in it.
type fact struct {
	name  string
	api   string            // the objects of namespace ns, as YAML documents
	node  map[string]string // what the node's HTTP API answers; other paths are 404
	ask   string            // "pod/web", "service/web"
	state State
	says  string // of the last link
	mends string // a part of its command; "" checks nothing
}

// checkAll asks about each fact.
func checkAll(t *testing.T, facts []fact) {
	t.Helper()
	for _, f := range facts {
		t.Run(f.name, func(t *testing.T) {
			got, err := cluster(t, f).ask(f.ask)
			if err != nil {
				t.Fatal(err)
			}
			last := got.Links[len(got.Links)-1]
			if got.State != f.state || !strings.Contains(last.Sentence, f.says) || !strings.Contains(last.Mend, f.mends) {
				var text strings.Builder
				_ = got.Write(&text)
				t.Errorf("it is %s, want %s: %q %q\n%s", got.State, f.state, f.says, f.mends, text.String())
			}
		})
	}
}

// rig is an Explainer of a cluster in memory.
type rig struct {
	t         *testing.T
	client    *fake.Clientset
	dynamic   *dynamicfake.FakeDynamicClient
	explainer *Explainer
}

func cluster(t *testing.T, f fact) rig {
	t.Helper()
	typed, free := objects(t, f.api)
	kinds := map[schema.GroupVersionResource]string{
		gateways: "GatewayList", gatewayClasses: "GatewayClassList",
		{Group: gatewayGroup, Version: "v1", Resource: "httproutes"}:   "HTTPRouteList",
		{Group: "example.com", Version: "v1", Resource: "databases"}:   "DatabaseList",
		{Group: "apps", Version: "v1", Resource: "deployments"}:        "DeploymentList",
		{Group: "", Version: "v1", Resource: "configmaps"}:             "ConfigMapList",
		{Group: "", Version: "v1", Resource: "nodes"}:                  "NodeList",
		{Group: "", Version: "v1", Resource: "persistentvolumeclaims"}: "PersistentVolumeClaimList",
		{Group: "", Version: "v1", Resource: "pods"}:                   "PodList",
	}
	r := rig{t: t, client: fake.NewClientset(typed...), dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)}
	for _, o := range free {
		for _, m := range mappings {
			if o.GetObjectKind().GroupVersionKind() != m.GroupVersionKind {
				continue
			}
			if err := r.dynamic.Tracker().Create(m.Resource, o, o.(metav1.Object).GetNamespace()); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.client.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
		{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
	}}}
	r.explainer = New(r.client, r.dynamic, Options{
		Program: "kube-lite", Namespace: "ns", Now: func() time.Time { return noon },
		Node: func(_ context.Context, node, path string) ([]byte, error) {
			if answer, ok := f.node[path]; ok && node == "node" {
				return []byte(answer), nil
			}
			return nil, errors.New("404 page not found")
		},
	})
	return r
}

// objects reads documents, as typed objects and as free ones; of kinds that client-go does not know there is the latter alone.
func objects(t *testing.T, api string) (typed, free []runtime.Object) {
	t.Helper()
	for _, text := range strings.Split(api, "\n---\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		o := &unstructured.Unstructured{}
		data, err := yaml.YAMLToJSON([]byte(text))
		if err == nil {
			err = o.UnmarshalJSON(data)
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if o.GetNamespace() == "" && !strings.Contains(clusterKinds, " "+o.GetKind()+" ") {
			o.SetNamespace("ns")
		}
		if o.GetUID() == "" {
			o.SetUID(types.UID("uid-" + o.GetName()))
		}
		free = append(free, o)
		if object, err := scheme.Scheme.New(o.GroupVersionKind()); err == nil {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, object); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			typed = append(typed, object)
		}
	}
	return typed, free
}

// clusterKinds have no namespace.
const clusterKinds = " Node Namespace StorageClass PersistentVolume IngressClass GatewayClass "

// ask asks about "kind/name".
func (r rig) ask(object string) (Chain, error) {
	kind, name, _ := strings.Cut(object, "/")
	mapping, ok := mappings[kind]
	if !ok {
		r.t.Fatalf("no mapping of %s", kind)
	}
	return r.explainer.Why(r.t.Context(), mapping, "ns", name)
}

var mappings = map[string]*meta.RESTMapping{
	"pod": mapped("", "v1", "Pod", "pods", true), "service": mapped("", "v1", "Service", "services", true),
	"pvc": mapped("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true), "configmap": mapped("", "v1", "ConfigMap", "configmaps", true),
	"node": mapped("", "v1", "Node", "nodes", false), "namespace": mapped("", "v1", "Namespace", "namespaces", false),
	"deployment": mapped("apps", "v1", "Deployment", "deployments", true), "replicaset": mapped("apps", "v1", "ReplicaSet", "replicasets", true),
	"statefulset": mapped("apps", "v1", "StatefulSet", "statefulsets", true), "daemonset": mapped("apps", "v1", "DaemonSet", "daemonsets", true),
	"job": mapped("batch", "v1", "Job", "jobs", true), "cronjob": mapped("batch", "v1", "CronJob", "cronjobs", true),
	"rc":      mapped("", "v1", "ReplicationController", "replicationcontrollers", true),
	"ingress": mapped("networking.k8s.io", "v1", "Ingress", "ingresses", true), "hpa": mapped("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
	"pdb": mapped("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true), "gateway": mapped(gatewayGroup, "v1", "Gateway", "gateways", true),
	"route": mapped(gatewayGroup, "v1", "HTTPRoute", "httproutes", true), "class": mapped(gatewayGroup, "v1", "GatewayClass", "gatewayclasses", false),
	"database": mapped("example.com", "v1", "Database", "databases", true),
}

func mapped(group, version, kind, resource string, namespaced bool) *meta.RESTMapping {
	scope := meta.RESTScopeRoot
	if namespaced {
		scope = meta.RESTScopeNamespace
	}
	return &meta.RESTMapping{
		Resource:         schema.GroupVersionResource{Group: group, Version: version, Resource: resource},
		GroupVersionKind: schema.GroupVersionKind{Group: group, Version: version, Kind: kind}, Scope: scope,
	}
}

// node is one that is ready.
const node = `
apiVersion: v1
kind: Node
metadata: {name: node, labels: {kubernetes.io/os: linux, zone: north}}
status: {allocatable: {cpu: "2", memory: 4Gi, pods: "110"}, conditions: [{type: Ready, status: "True"}], images: [{names: ["shop/web:1.0"]}]}
`

// onNode is a pod on it, whose container web is as the status says; more is put into the container.
func onNode(status, more string) string {
	return node + `---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node
  restartPolicy: Always
  containers: [{name: web, image: "shop/web:1.0"` + more + `}]
status:
  phase: Running
  podIP: 10.0.0.2
  conditions: [{type: PodScheduled, status: "True"}, {type: Ready, status: "False"}]
  containerStatuses: [{name: web, containerID: "docker://1", ` + status + `}]
`
}

// event is one about an object, a moment ago.
func event(about, reason, message string) string {
	return `---
apiVersion: v1
kind: Event
metadata: {name: ` + about + `-` + strings.ToLower(reason) + `}
involvedObject: {name: ` + about + `, uid: uid-` + about + `, fieldPath: "spec.containers{web}"}
reason: ` + reason + `
type: Warning
message: ` + quote(message) + `
lastTimestamp: "2026-01-01T11:59:58Z"
`
}
