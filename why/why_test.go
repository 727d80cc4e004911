package why

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

func TestAutoscalersAndBudgets(t *testing.T) {
	hpa := func(target, status string) string {
		return aDeployment("", "") + `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {kind: Deployment, name: ` + target + `}}
status: {` + status + `}
`
	}
	pdb := func(spec, status string) string {
		return aService(selects, "True") + `---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {` + spec + `}
status: {` + status + `}
`
	}
	checkAll(t, []fact{
		{name: "no target", ask: "hpa/web", state: Broken, says: `is to scale the Deployment "wbe", which does not exist; there is "web"`, api: hpa("wbe", "")},
		{name: "no figures", ask: "hpa/web", state: Broken, says: "does not scale: no metrics returned", api: hpa("web", `conditions: [{type: ScalingActive, status: "False", reason: FailedGetResourceMetric, message: no metrics returned}]`)},
		{name: "scaled to 0", ask: "hpa/web", state: Broken, says: "does nothing while Deployment web is scaled to 0", api: hpa("web", `conditions: [{type: ScalingActive, status: "False", reason: ScalingDisabled}]`)},
		{name: "well", ask: "hpa/web", state: OK, says: "keeps Deployment web at 2 pods, and wants 3", api: hpa("web", `currentReplicas: 2, desiredReplicas: 3, conditions: [{type: ScalingActive, status: "True"}]`)},
		{name: "a budget that allows one", ask: "pdb/web", state: OK, says: "lets 1 pod be evicted now", api: pdb("maxUnavailable: 1, selector: {matchLabels: {app: web}}", "disruptionsAllowed: 1, currentHealthy: 1, expectedPods: 1")},
		{name: "a budget that allows none", ask: "pdb/web", state: Broken, says: "lets no pod be evicted even while all are healthy: minAvailable is 1, and it has 1 pod",
			api: pdb("minAvailable: 1, selector: {matchLabels: {app: web}}", "currentHealthy: 1, desiredHealthy: 1, expectedPods: 1")},
		{name: "a budget of nothing", ask: "pdb/web", state: Broken, says: "protects no pod: its selector app=wbe matches none", api: pdb("minAvailable: 1, selector: {matchLabels: {app: wbe}}", "")},
	})
}

func TestNamespacesThatStay(t *testing.T) {
	const deleted = `
apiVersion: v1
kind: Namespace
metadata: {name: ns, deletionTimestamp: "2026-01-01T11:59:00Z", finalizers: [kubernetes]}
status: {conditions: [{type: NamespaceContentRemaining, status: "True", message: "Some resources are remaining: configmaps. has 1 resource instances"}`
	checkAll(t, []fact{
		{name: "not deleted", ask: "namespace/ns", state: OK, says: "nobody has deleted it", api: "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}"},
		{name: "what is left", ask: "namespace/ns", state: Broken, says: "stays until the finalizer example.com/hold is taken off", mends: "kube-lite patch configmaps/kept", api: deleted + `]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, deletionTimestamp: "2026-01-01T11:59:00Z", finalizers: [example.com/hold]}`},
		{name: "nothing is left to see", ask: "namespace/ns", state: Waiting, says: "goes when all that was in it is gone", api: deleted + "]}"},
		{name: "an API that does not answer", ask: "namespace/ns", state: Broken, says: "what is in it cannot be removed: metrics.example.com does not answer",
			api: deleted + `, {type: NamespaceDeletionDiscoveryFailure, status: "True", message: metrics.example.com does not answer}]}`},
	})
}

func TestOtherKindsByTheirConditions(t *testing.T) {
	database := func(meta, status string) string {
		return `
apiVersion: example.com/v1
kind: Database
metadata: {name: db` + meta + `}
status: {` + status + `}`
	}
	checkAll(t, []fact{
		{name: "ready", ask: "database/db", state: OK, says: "is well by its conditions: Ready is True", api: database("", `conditions: [{type: Ready, status: "True"}]`)},
		{name: "not ready", ask: "database/db", state: Broken, says: "its condition Ready is False, NoDisk: no disk is left", api: database("", `conditions: [{type: Ready, status: "False", reason: NoDisk, message: no disk is left}]`)},
		{name: "degraded", ask: "database/db", state: Broken, says: "its condition Degraded holds", api: database("", `conditions: [{type: Degraded, status: "True"}]`)},
		{name: "a condition that nobody knows", ask: "database/db", state: OK, says: "Compacting is False", api: database("", `conditions: [{type: Compacting, status: "False"}]`)},
		{name: "no conditions", ask: "database/db", state: OK, says: "has no conditions that would say more", api: database("", "")},
		{name: "deleted", ask: "database/db", state: Broken, says: "until the finalizer example.com/backup is taken off", api: database(`, deletionTimestamp: "2026-01-01T11:59:00Z", finalizers: [example.com/backup]`, "")},
	})
}

func TestWhatDoesNotExist(t *testing.T) {
	r := cluster(t, fact{api: onNode("ready: true", "")})
	for ask, want := range map[string]string{
		"pod/wbe": `Pod "wbe" does not exist in namespace "ns"; there is "web"`,
		"node/n":  `Node "n" does not exist`,
	} {
		if _, err := r.ask(ask); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", ask, err, want)
		}
	}
}

// What the API refuses is listed, and what depends on it is not said to be well.
func TestWhatMayNotBeRead(t *testing.T) {
	r := cluster(t, fact{api: aService(selects, "True")})
	r.client.PrependReactor("list", "networkpolicies", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("networkpolicies is forbidden")
	})
	got, err := r.ask("service/web")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := got.Write(&text); err != nil {
		t.Fatal(err)
	}
	if got.State != Unknown || !strings.Contains(text.String(), "? not read: list networkpolicies in namespace ns: networkpolicies is forbidden\n") {
		t.Errorf("%s: %s", got.State, text.String())
	}
}

func TestChainsArePrintedFromTheObjectDown(t *testing.T) {
	got, err := cluster(t, fact{
		api:  aDeployment("", "") + "---" + strings.Replace(strings.TrimPrefix(onNode(`state: {waiting: {reason: ErrImagePull, message: manifest unknown}}`, ""), node+"---"), "name: web, labels", `name: web-1-a, ownerReferences: [{kind: ReplicaSet, name: web-1, uid: uid-web-1, controller: true}], labels`, 1),
		node: map[string]string{"images": `[{"names":["shop/web:0.9"]}]`},
	}).ask("deployment/web")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := got.Write(&text); err != nil {
		t.Fatal(err)
	}
	want := `… Deployment web: 0 of 1 pods ready
… ReplicaSet web-1: 0 of 1 pods ready
✗ Pod web-1-a: the image "shop/web:1.0" of container web is not on node node, and the registry docker.io does not have it; there is shop/web:0.9
    seen: ErrImagePull: manifest unknown
    mend: kube-lite set image deployment/web web=shop/web:0.9
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestCommandsLeadBackToTheSameCluster(t *testing.T) {
	e := New(nil, nil, Options{Program: "kube-lite --name green", Flags: "--context=prod", Namespace: "default", Node: cluster(t, fact{}).explainer.opts.Node})
	l := e.look(t.Context())
	for want, got := range map[string]string{
		"kube-lite --name green get pods -n shop --context=prod": l.command("shop", "get pods"),
		"kube-lite --name green get pods --context=prod":         l.command("default", "get pods"),
		"kube-lite --name green get nodes --context=prod":        l.command("", "get nodes"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
