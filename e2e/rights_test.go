package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// auditPolicy records each answer to the instance's own parts.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
- level: Metadata
  users: ["system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]
- level: None
`

func (i *instance) auditLog() string { return filepath.Join(i.scratch, "audit.log") }

// withAudit has every instance record what its own parts ask for.
func (i *instance) withAudit() (*instance, error) {
	policy := filepath.Join(i.scratch, "audit.yaml")
	i.flags = append(i.flags, "--audit-policy="+policy, "--audit-log="+i.auditLog())
	return i, os.WriteFile(policy, []byte(auditPolicy), 0o600)
}

// denied reads in the log what the instance's own parts asked for and may not have.
func (i *instance) denied() ([]string, error) {
	log, err := os.Open(i.auditLog())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var denied []string
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return denied, nil // the end, or a line that is being written
		}
		var e auditv1.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", i.auditLog(), err, line)
		}
		if status := e.ResponseStatus; status != nil && ofRights(e) {
			denied = append(denied, fmt.Sprintf("%s may not %s %s: %s", e.User.Username, e.Verb, e.RequestURI, status.Message))
		}
	}
}

// ofRights tells a right that is missing, or what NodeRestriction forbids, from what a quota or a namespace's end forbids.
func ofRights(e auditv1.Event) bool {
	code := e.ResponseStatus.Code
	return code == http.StatusUnauthorized || code == http.StatusForbidden &&
		(e.Annotations["authorization.k8s.io/decision"] == "forbid" || strings.Contains(e.ResponseStatus.Message, "node \""+strings.TrimPrefix(e.User.Username, "system:node:")))
}

// manyKinds have the controllers, the scheduler, the node agent and the provisioner do what each is for.
const manyKinds = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {key: value}}
---
{apiVersion: v1, kind: Secret, metadata: {name: password}, stringData: {key: value}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: many}, spec: {hard: {pods: "50"}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: db}, spec: {minAvailable: 1, selector: {matchLabels: {app: db}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {selector: {app: db}, ports: [{port: 80}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [sleep], envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: password}}],
         resources: {requests: {cpu: 10m}}, volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]}
      volumes:
      - {name: scratch, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}}}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: db}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: db}, minReplicas: 1, maxReplicas: 2,
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [sleep]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [sleep]}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec:
  selector: {app: old}
  template:
    metadata: {labels: {app: old}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [sleep]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: seldom}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [exit, "0"]}]}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  ttlSecondsAfterFinished: 1
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [exit, "0"]}]}}
`

// Each part of the instance is a user of its own, with upstream's rights for it: they are enough for all that it does. The
// end of all tests looks again, see TestMain.
func TestNothingOfOursIsDenied(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "rights")
	ns.apply(t, manyKinds)
	for what, value := range map[string]string{
		"statefulset/db": "{.status.readyReplicas}", "daemonset/agent": "{.status.numberReady}", "deployment/web": "{.status.readyReplicas}",
		"replicationcontroller/old": "{.status.readyReplicas}",
	} {
		ns.waitForValue(t, what, value, "1")
	}
	ns.waitForValue(t, "quota/many", "{.status.hard.pods}", "50")
	ns.must(t, "rollout", "restart", "statefulset/db", "deployment/web")
	ns.must(t, "rollout", "status", "deployment/web")
	ns.must(t, "rollout", "status", "statefulset/db")
	ns.must(t, "patch", "pvc", "data-db-0", `--patch={"spec":{"resources":{"requests":{"storage":"2Mi"}}}}`)
	ns.waitForValue(t, "pvc/data-db-0", "{.status.capacity.storage}", "2Mi")
	ns.must(t, "wait", "--for=delete", "job/once", "--timeout=60s")
	ns.must(t, "delete", "deployment,statefulset,daemonset,replicationcontroller,pvc", "--all", "--timeout=60s")
	denied, err := cluster.denied()
	if err != nil || len(denied) > 0 {
		t.Errorf("%v, denied:\n%s", err, strings.Join(denied, "\n"))
	}
	if info, err := os.Stat(cluster.auditLog()); err != nil || info.Size() == 0 {
		t.Errorf("nothing is recorded: %v", err)
	}
}

// A pod's token may do what its ServiceAccount is granted, and that is nothing by default.
func TestATokenMayDoWhatIsGranted(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "granted")
	kubeconfig := cluster.withToken(t, ns.must(t, "create", "token", "default"))
	if got := ns.run(t, "get", "pods", "--kubeconfig="+kubeconfig); got.code != 1 ||
		!strings.Contains(got.stderr, `User "system:serviceaccount:granted:default" cannot list resource "pods" in API group "" in the namespace "granted"`) {
		t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := ns.must(t, "auth", "can-i", "--list", "--kubeconfig="+kubeconfig); !strings.Contains(got, "selfsubjectreviews.authentication.k8s.io") || strings.Contains(got, "pods") {
		t.Errorf("it may:\n%s", got)
	}
	ns.grant(t, "view")
	eventually(t, func() error {
		if got := ns.run(t, "get", "pods", "--kubeconfig="+kubeconfig); got.code != 0 {
			return errors.New(got.stderr)
		}
		return nil
	})
	if got := ns.run(t, "get", "secrets", "--kubeconfig="+kubeconfig); got.code != 1 || !strings.Contains(got.stderr, "forbidden") {
		t.Errorf("view includes Secrets: %s%s", got.stdout, got.stderr)
	}
	for who, want := range map[string]string{"system:serviceaccount:granted:default": "no", "system:serviceaccount:kube-system:deployment-controller": "yes"} {
		if got := ns.run(t, "auth", "can-i", "update", "deployments/status", "--as="+who); strings.TrimSpace(got.stdout) != want {
			t.Errorf("%s may update the status of deployments: %s%s", who, got.stdout, got.stderr)
		}
	}
}

// grant lets the namespace's default ServiceAccount do what a ClusterRole says, in the namespace.
func (n namespace) grant(t *testing.T, role string) {
	t.Helper()
	n.must(t, "create", "rolebinding", "granted-"+role, "--clusterrole="+role, "--serviceaccount="+n.name+":default")
}
