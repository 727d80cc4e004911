package e2e

import (
	"fmt"
	"strings"
)

// install is what people apply to have a piece of infrastructure.
type install struct {
	name        string // of its namespace too
	definitions []definition
	manifest    string // all but the definitions, without their namespace's name
	rollouts    []string
}

// file is the install file: the definitions, and then what uses them.
func (i install) file() string {
	var all strings.Builder
	for _, d := range i.definitions {
		all.WriteString(d.yaml())
	}
	all.WriteString("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: NAME}\n")
	all.WriteString(i.manifest)
	return strings.ReplaceAll(all.String(), "NAME", i.name)
}

// rights is a controller's identity as such files have it: rights in the whole cluster, some of them for users' roles to
// gather, and those to its lock in a namespace that is not its own.
func rights(name, group string) string {
	return strings.NewReplacer("WHO", name, "GROUP", group).Replace(`---
apiVersion: v1
kind: ServiceAccount
metadata: {name: WHO, namespace: NAME}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME-WHO}
rules:
- {apiGroups: [GROUP], resources: ["*"], verbs: ["*"]}
- {apiGroups: [""], resources: [configmaps, secrets, services, events], verbs: [get, list, watch, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME-WHO-view, labels: {rbac.authorization.k8s.io/aggregate-to-view: "true", rbac.authorization.k8s.io/aggregate-to-edit: "true"}}
rules: [{apiGroups: [GROUP], resources: ["*"], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME-WHO}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAME-WHO}
subjects: [{kind: ServiceAccount, name: WHO, namespace: NAME}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: NAME-WHO:leaderelection, namespace: kube-system}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, update, patch, create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAME-WHO:leaderelection, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: NAME-WHO:leaderelection}
subjects: [{kind: ServiceAccount, name: WHO, namespace: NAME}]
`)
}

// workload is a Deployment or StatefulSet of one Pod, and its Service.
func workload(kind, name string) string {
	return strings.NewReplacer("KIND", kind, "WHO", name).Replace(`---
apiVersion: v1
kind: Service
metadata: {name: WHO, namespace: NAME, labels: {app: WHO}}
spec: {selector: {app: WHO}, ports: [{name: https, port: 443, targetPort: https}]}
---
apiVersion: apps/v1
kind: KIND
metadata: {name: WHO, namespace: NAME, labels: {app: WHO}}
spec:
  selector: {matchLabels: {app: WHO}}
  template:
    metadata: {labels: {app: WHO}}
    spec:
      serviceAccountName: WHO
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: main
        image: kube-lite-test/tool:latest
        imagePullPolicy: Never
        args: [sleep]
        ports: [{name: https, containerPort: 10250}]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`)
}

// hook is a webhook configuration whose certificate a Job or a controller fills in later.
func hook(kind, service, group, resources string) string {
	return strings.NewReplacer("KIND", kind, "SERVICE", service, "GROUP", group, "RESOURCES", resources).Replace(`---
apiVersion: admissionregistration.k8s.io/v1
kind: KIND
metadata: {name: NAME-webhook}
webhooks:
- name: webhook.NAME.example.com
  admissionReviewVersions: [v1]
  failurePolicy: Fail
  sideEffects: None
  timeoutSeconds: 5
  matchPolicy: Equivalent
  rules: [{apiGroups: [GROUP], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [RESOURCES]}]
  clientConfig: {service: {name: SERVICE, namespace: NAME, path: /validate}}
`)
}

// certificates has the shape of cert-manager's file.
func certificates() install {
	const group = "certs.example.com"
	definitions := []definition{}
	for _, kind := range []string{"Issuer", "ClusterIssuer", "Certificate", "CertificateRequest", "Order", "Challenge"} {
		definitions = append(definitions, definition{group, kind, []string{"v1"}, 150_000})
	}
	return install{"certs", definitions, rights("controller", group) + workload("Deployment", "controller") +
		rights("webhook", group) + workload("Deployment", "webhook") + hook("MutatingWebhookConfiguration", "webhook", group, "certificaterequests") +
		hook("ValidatingWebhookConfiguration", "webhook", group, "certificaterequests, orders"),
		[]string{"deployment/controller", "deployment/webhook"}}
}

// ingress has the shape of an ingress controller's file: Jobs that make the webhook's certificate, a class, an address of
// its own.
func ingress() install {
	job := func(name string) string {
		return fmt.Sprintf(`---
apiVersion: batch/v1
kind: Job
metadata: {name: %s, namespace: NAME}
spec:
  template:
    spec:
      serviceAccountName: controller
      restartPolicy: OnFailure
      containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [cat, /etc/hosts]}]
`, name)
	}
	return install{"ingress", nil, rights("controller", "networking.k8s.io") + workload("Deployment", "controller") + job("admission-create") +
		job("admission-patch") + hook("ValidatingWebhookConfiguration", "controller", "networking.k8s.io", "ingresses") + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: controller, namespace: NAME}
data: {allow-snippet-annotations: "false"}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: NAME}
spec: {controller: example.com/ingress}
---
apiVersion: v1
kind: Service
metadata: {name: public, namespace: NAME}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: controller}, ports: [{name: http, port: 80, targetPort: 10250}]}
`, []string{"deployment/controller"}}
}

// monitoring has the shape of Prometheus operator's bundle: the largest definitions there are.
func monitoring() install {
	const group = "metrics.example.com"
	definitions := []definition{{group, "Server", []string{"v1"}, 700_000}, {group, "Agent", []string{"v1alpha1"}, 600_000}}
	for _, kind := range []string{"ServiceMonitor", "PodMonitor", "Probe", "Rule", "ScrapeConfig"} {
		definitions = append(definitions, definition{group, kind, []string{"v1"}, 100_000})
	}
	return install{"monitoring", definitions, rights("operator", group) + workload("Deployment", "operator"), []string{"deployment/operator"}}
}

// delivery has the shape of Argo CD's file.
func delivery() install {
	const group = "delivery.example.com"
	manifest := `---
apiVersion: v1
kind: Secret
metadata: {name: admin, namespace: NAME}
type: Opaque
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: repository, namespace: NAME}
spec: {podSelector: {matchLabels: {app: repository}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: server}}}]}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: server, namespace: NAME}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: server}}}
`
	return install{"delivery", []definition{
		{group, "Application", []string{"v1alpha1"}, 250_000}, {group, "ApplicationSet", []string{"v1alpha1"}, 1_200_000},
		{group, "Project", []string{"v1alpha1"}, 100_000},
	}, rights("server", group) + workload("Deployment", "server") + rights("repository", group) + workload("StatefulSet", "repository") + manifest,
		[]string{"deployment/server", "statefulset/repository"}}
}

// gateways has the shape of Gateway API's file: definitions in several versions, and a policy that guards them.
func gateways() install {
	const group = "gateways.example.com"
	definitions := []definition{}
	for _, kind := range []string{"GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"} {
		definitions = append(definitions, definition{group, kind, []string{"v1", "v1beta1"}, 200_000})
	}
	return install{"gateways", definitions, `---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: safe-upgrades.gateways.example.com}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [apiextensions.k8s.io], apiVersions: [v1], resources: [customresourcedefinitions], operations: [CREATE, UPDATE]}]
  validations:
  - expression: "object.spec.group != 'gateways.example.com' || !has(object.metadata.annotations) || !('channel' in object.metadata.annotations)"
    message: another channel is installed
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: safe-upgrades.gateways.example.com}
spec: {policyName: safe-upgrades.gateways.example.com, validationActions: [Deny]}
`, nil}
}
