package verdict

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// object reads one of YAML.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = o.UnmarshalJSON(data)
	}
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, generation: 2}\nspec: {replicas: 2, progressDeadlineSeconds: 600, selector: {matchLabels: {app: web}}}\n"
	job        = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\n"
	pod        = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
	service    = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
	claim      = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n"
	httpRoute  = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec: {parentRefs: [{name: a}]}\n"
	database   = "apiVersion: example.com/v1\nkind: Database\nmetadata: {name: db, generation: 1}\n"
)

func TestJudge(t *testing.T) {
	one := []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}}
	unready := []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}}}}}
	user := []corev1.Pod{{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}}}}
	for _, f := range []struct {
		name, text string
		by         neighbours
		want       State
		says       string
	}{
		{"rolled out", deployment + "status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}", neighbours{}, Ready, "2 of 2 pods ready"},
		{"half of its pods", deployment + "status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 1, availableReplicas: 1}", neighbours{}, Waiting, "Available: 1/2"},
		{"of the version before", deployment + "status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2}", neighbours{}, Waiting, "generation"},
		{"its own deadline has passed", deployment + "status: {observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]}", neighbours{}, Failed, "deadline exceeded"},
		{"a Job at work", job + "status: {startTime: '2026-01-01T00:00:00Z', active: 1}", neighbours{}, Waiting, "1 active"},
		{"a Job that is complete", job + "status: {conditions: [{type: Complete, status: 'True'}]}", neighbours{}, Ready, "is complete"},
		{"a Job that has failed", job + "status: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: m}]}", neighbours{}, Failed, "BackoffLimitExceeded: m"},
		{"a Job that is about to fail", job + "status: {conditions: [{type: FailureTarget, status: 'True'}]}", neighbours{}, Failed, "has failed"},
		{"a suspended Job", job + "spec: {suspend: true}", neighbours{}, Ready, "as declared"},
		{"a ready pod", pod + "status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}", neighbours{}, Ready, "is ready"},
		{"a pod that starts", pod + "status: {phase: Pending}", neighbours{}, Waiting, "is not ready"},
		{"a pod that has crashed once", pod + "status: {phase: Running, containerStatuses: [{name: a, state: {waiting: {reason: CrashLoopBackOff}}}]}", neighbours{}, Waiting, "is not ready"},
		{"a pod that is done", pod + "status: {phase: Succeeded}", neighbours{}, Ready, "has succeeded"},
		{"a pod that has failed", pod + "status: {phase: Failed}", neighbours{}, Failed, "has failed"},
		{"a pod that is deleted", "apiVersion: v1\nkind: Pod\nmetadata: {name: web, deletionTimestamp: '2026-01-01T00:00:00Z'}\nstatus: {phase: Succeeded}", neighbours{}, Waiting, "is being deleted"},
		{"a Service with an endpoint", service + "spec: {selector: {app: web}}", neighbours{slices: one}, Ready, "1 endpoint ready"},
		{"a Service whose endpoint is not ready", service + "spec: {selector: {app: web}}", neighbours{slices: unready}, Waiting, "no endpoint"},
		{"a Service without a selector", service + "spec: {type: ExternalName, externalName: example.com}", neighbours{}, Ready, "is there"},
		{"a Service of a workload without pods", service + "spec: {selector: {app: web}}", neighbours{idle: []labels.Set{{"app": "web"}}}, Ready, "declared to have no pods"},
		{"a Service beside a workload without pods", service + "spec: {selector: {app: web}}", neighbours{idle: []labels.Set{{"app": "db"}}}, Waiting, "no endpoint"},
		{"a bound claim", claim + "status: {phase: Bound}", neighbours{}, Ready, "is bound"},
		{"a claim that waits for a pod", claim + "status: {phase: Pending}", neighbours{first: true}, Ready, "none does"},
		{"a claim whose pod is there", claim + "status: {phase: Pending}", neighbours{first: true, pods: user}, Waiting, "is not bound"},
		{"a claim whose class waits for nothing", claim + "status: {phase: Pending}", neighbours{}, Waiting, "is not bound"},
		{"a lost claim", claim + "status: {phase: Lost}", neighbours{}, Failed, "has lost its volume"},
		{"an Ingress", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}", neighbours{}, Waiting, "no controller"},
		{"an Ingress that is served", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nstatus: {loadBalancer: {ingress: [{ip: 127.0.0.1}]}}", neighbours{}, Ready, "is served"},
		{"a route nobody has looked at", httpRoute, neighbours{}, Waiting, "0 of 1 parent"},
		{"a route that is accepted", httpRoute + "status: {parents: [{conditions: [{type: Accepted, status: 'True'}, {type: ResolvedRefs, status: 'True'}]}]}", neighbours{}, Ready, "is accepted"},
		{"a route without its Service", httpRoute + "status: {parents: [{conditions: [{type: Accepted, status: 'True'}, {type: ResolvedRefs, status: 'False', reason: BackendNotFound, message: m}]}]}", neighbours{}, Waiting, "BackendNotFound: m"},
		{"a Gateway", "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\nstatus: {conditions: [{type: Programmed, status: 'True'}]}", neighbours{}, Ready, "Programmed holds"},
		{"a custom resource that is ready", database + "status: {conditions: [{type: Ready, status: 'True'}]}", neighbours{}, Ready, "is there"},
		{"a custom resource that is not", database + "status: {conditions: [{type: Ready, status: 'False', message: filling}]}", neighbours{}, Waiting, "filling"},
		{"a ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}", neighbours{}, Ready, "is there"},
	} {
		t.Run(f.name, func(t *testing.T) {
			got := judge(object(t, f.text), f.by)
			if got.State != f.want || !strings.Contains(got.Text, f.says) {
				t.Errorf("it is %d, %q; want %d, %q", got.State, got.Text, f.want, f.says)
			}
		})
	}
}
