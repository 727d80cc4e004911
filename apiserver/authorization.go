package apiserver

import (
	"context"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	resourceinformers "k8s.io/client-go/informers/resource/v1"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/node"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// informersUser is who the shared informers are: kube-controller-manager, which may list and watch everything.
const informersUser = user.KubeControllerManager

// newAuthorizer decides as a kube-apiserver with --authorization-mode=Node,RBAC: the group system:masters may do
// everything, a node agent what its Pods need, and everybody else what RBAC grants.
// https://kubernetes.io/docs/reference/access-authn-authz/authorization/
func newAuthorizer(shared informers.SharedInformerFactory, defaults *interim) (authorizer.Authorizer, authorizer.RuleResolver) {
	r := shared.Rbac().V1()
	stored := rbac.New(
		&rbac.RoleGetter{Lister: r.Roles().Lister()},
		&rbac.RoleBindingLister{Lister: r.RoleBindings().Lister()},
		&rbac.ClusterRoleGetter{Lister: r.ClusterRoles().Lister()},
		&rbac.ClusterRoleBindingLister{Lister: r.ClusterRoleBindings().Lister()},
	)
	nodes := newNodeAuthorizer(shared)
	return union.New(
		authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup),
		authorizer.AuthorizerFunc(authorizeInformers), nodes, stored, defaults,
	), union.NewRuleResolvers(nodes, stored)
}

// authorizeInformers lets the shared informers read, whatever RBAC says: RBAC goes by what they see, so a right that was
// taken from them could never be given back. (On a kube-apiserver these are informers of its own, which may do everything.)
func authorizeInformers(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser() != nil && a.GetUser().GetName() == informersUser && a.IsResourceRequest() && (a.GetVerb() == "list" || a.GetVerb() == "watch") {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// nodeAuthorizer is upstream's, asked again for a moment before a node agent is denied something: it knows which Pods are
// the node's from the same informer as the agent, from a goroutine of its own, and may hear of a Pod after the agent.
type nodeAuthorizer struct{ *node.NodeAuthorizer }

const (
	// nodeGraphLag is how long the authorizer may be behind the node agent: it has to be scheduled, no more.
	nodeGraphLag = 200 * time.Millisecond
	// nodeGraphInterval is the pause between two questions.
	nodeGraphInterval = time.Millisecond
)

func newNodeAuthorizer(shared informers.SharedInformerFactory) *nodeAuthorizer {
	graph := node.NewGraph()
	var slices resourceinformers.ResourceSliceInformer
	if utilfeature.DefaultFeatureGate.Enabled(features.DynamicResourceAllocation) {
		slices = shared.Resource().V1().ResourceSlices()
	}
	core := shared.Core().V1()
	node.AddGraphEventHandlers(graph, core.Nodes(), core.Pods(), core.PersistentVolumes(), shared.Storage().V1().VolumeAttachments(), slices, nil)
	return &nodeAuthorizer{node.NewAuthorizer(graph, nodeidentifier.NewDefaultNodeIdentifier(), bootstrappolicy.NodeRules())}
}

// Authorize is authorizer.Authorizer's.
func (n *nodeAuthorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	decision, reason, err := n.NodeAuthorizer.Authorize(ctx, a)
	if decision == authorizer.DecisionAllow || err != nil || !ofOneObject(a) {
		return decision, reason, err
	}
	deadline := time.NewTimer(nodeGraphLag)
	defer deadline.Stop()
	again := time.NewTicker(nodeGraphInterval)
	defer again.Stop()
	for decision != authorizer.DecisionAllow && err == nil {
		select {
		case <-ctx.Done():
			return decision, reason, nil
		case <-deadline.C:
			return decision, reason, nil
		case <-again.C:
			decision, reason, err = n.NodeAuthorizer.Authorize(ctx, a)
		}
	}
	return decision, reason, err
}

// ofOneObject tells whether a node's right to the object depends on the Pods that it has.
func ofOneObject(a authorizer.Attributes) bool {
	if name, is := nodeidentifier.NewDefaultNodeIdentifier().NodeIdentity(a.GetUser()); !is || name == "" || a.GetName() == "" {
		return false
	}
	switch a.GetResource() {
	case "secrets", "configmaps", "persistentvolumes", "persistentvolumeclaims", "resourceclaims", "pods":
		return a.GetVerb() == "get"
	case "serviceaccounts":
		return a.GetVerb() == "get" || a.GetVerb() == "create" && a.GetSubresource() == "token"
	}
	return false
}
