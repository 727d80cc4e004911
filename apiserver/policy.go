package apiserver

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// defaultPolicy is what every cluster grants: upstream's roles and bindings, and those of what only we have.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
type defaultPolicy struct {
	clusterRoles        []rbacv1.ClusterRole
	clusterRoleBindings []rbacv1.ClusterRoleBinding
	roles               []rbacv1.Role
	roleBindings        []rbacv1.RoleBinding
}

func newDefaultPolicy() *defaultPolicy {
	p := &defaultPolicy{
		clusterRoles:        slices.Concat(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles(), ownClusterRoles()),
		clusterRoleBindings: slices.Concat(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings(), ownClusterRoleBindings()),
	}
	for _, roles := range bootstrappolicy.NamespaceRoles() {
		p.roles = append(p.roles, roles...)
	}
	for _, bindings := range bootstrappolicy.NamespaceRoleBindings() {
		p.roleBindings = append(p.roleBindings, bindings...)
	}
	return p
}

const (
	runtimesRole    = "system:kube-lite:runtime-class-publisher"
	directoriesRole = "system:kube-lite:directory-provisioner"
	routerRole      = RouterUser
	dashboardRole   = "system:kube-lite:dashboard"
	metricsRole     = "system:aggregated-metrics-reader" // metrics-server's name for it
	// directoriesAccount is the ServiceAccount of the loops that make StorageClasses and directories for claims.
	directoriesAccount = "directory-provisioner"
)

// DashboardPath is where whoever is authenticated may ask for a login to the dashboard (post), which then has this user's rights.
const DashboardPath = "/kube-lite/dashboard"

// RouterUser is the user as whom the room that serves Ingresses connects.
const RouterUser = "system:kube-lite:router"

// ownClusterRoles are for what a kube-apiserver's cluster does not have.
func ownClusterRoles() []rbacv1.ClusterRole {
	rule := func(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	return []rbacv1.ClusterRole{
		{ // The node agent declares Docker's runtimes.
			ObjectMeta: bootstrapMeta(runtimesRole),
			Rules:      []rbacv1.PolicyRule{rule("node.k8s.io", []string{"runtimeclasses"}, "create")},
		},
		{ // What upstream's system:persistent-volume-provisioner leaves out: classes, and claims that grow.
			ObjectMeta: bootstrapMeta(directoriesRole),
			Rules: []rbacv1.PolicyRule{
				rule("storage.k8s.io", []string{"storageclasses"}, "create"),
				rule("", []string{"persistentvolumes", "persistentvolumeclaims/status"}, "update"),
			},
		},
		{ // The router tells what became of Ingresses.
			ObjectMeta: bootstrapMeta(routerRole),
			Rules: []rbacv1.PolicyRule{
				rule("networking.k8s.io", []string{"ingressclasses"}, "create", "get", "patch", "delete"),
				rule("networking.k8s.io", []string{"ingresses"}, "list"),
				rule("networking.k8s.io", []string{"ingresses/status"}, "patch"),
				rule("apiextensions.k8s.io", []string{"customresourcedefinitions"}, "list", "watch"),
				rule(gatewayGroup, []string{"gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "referencegrants"}, "list", "watch"),
				rule(gatewayGroup, []string{"gatewayclasses"}, "create"),
				rule(gatewayGroup, []string{"gatewayclasses/status", "gateways/status", "httproutes/status", "grpcroutes/status", "tlsroutes/status"}, "patch"),
				rule("", []string{"events"}, "create", "patch", "update"),
				rule("events.k8s.io", []string{"events"}, "create", "patch", "update"),
			},
		},
		{ // The dashboard asks the API server for each user's rights anew.
			ObjectMeta: bootstrapMeta(dashboardRole),
			Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{DashboardPath}, Verbs: []string{"post"}}},
		},
		{ // metrics.k8s.io is the API server's own here, and so is the role that metrics-server brings along elsewhere.
			ObjectMeta: bootstrapMeta(metricsRole,
				"rbac.authorization.k8s.io/aggregate-to-admin", "rbac.authorization.k8s.io/aggregate-to-edit", "rbac.authorization.k8s.io/aggregate-to-view"),
			Rules: []rbacv1.PolicyRule{rule("metrics.k8s.io", []string{"nodes", "pods"}, "get", "list", "watch")},
		},
	}
}

func ownClusterRoleBindings() []rbacv1.ClusterRoleBinding {
	bind := func(name, role string, to rbacv1.Subject) rbacv1.ClusterRoleBinding {
		return rbacv1.ClusterRoleBinding{
			ObjectMeta: bootstrapMeta(name), Subjects: []rbacv1.Subject{to},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}
	}
	nodes := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: user.NodesGroup}
	directories := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: directoriesAccount}
	return []rbacv1.ClusterRoleBinding{
		bind(runtimesRole, runtimesRole, nodes),
		bind(directoriesRole, directoriesRole, directories),
		bind(dashboardRole, dashboardRole, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: user.AllAuthenticated}),
		bind(routerRole, routerRole, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: RouterUser}),
		bind(directoriesRole+":volumes", "system:persistent-volume-provisioner", directories),
	}
}

// bootstrapMeta marks an object as upstream marks its own: one that is reconciled at each start.
func bootstrapMeta(name string, labels ...string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
	for _, l := range labels {
		meta.Labels[l] = "true"
	}
	return meta
}
