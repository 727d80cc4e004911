package apiserver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/tools/cache"
	rbacvalidation "k8s.io/kubernetes/pkg/registry/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

// interim grants the default policy until it is stored and the informers have seen it: the rooms of the process start at
// the same time and shall not be denied what they are about to be granted.
type interim struct {
	policy atomic.Pointer[rbac.RBACAuthorizer] // nil when it is over

	mu     sync.Mutex // guards what follows
	stored bool
	unseen map[string]struct{}
}

// newInterim follows informers, which nobody may have started.
func newInterim(defaults *defaultPolicy, informers rbacinformers.Interface) (*interim, error) {
	i := &interim{unseen: map[string]struct{}{}}
	_, static := rbacvalidation.NewTestRuleResolver(pointers(defaults.roles), pointers(defaults.roleBindings),
		pointers(defaults.clusterRoles), pointers(defaults.clusterRoleBindings))
	i.policy.Store(rbac.New(static, static, static, static))
	for _, err := range []error{
		follow(i, informers.Roles().Informer(), defaults.roles),
		follow(i, informers.RoleBindings().Informer(), defaults.roleBindings),
		follow(i, informers.ClusterRoles().Informer(), defaults.clusterRoles),
		follow(i, informers.ClusterRoleBindings().Informer(), defaults.clusterRoleBindings),
	} {
		if err != nil {
			return nil, fmt.Errorf("apiserver: follow the default policy: %w", err)
		}
	}
	return i, nil
}

// follow waits for the informer to have seen the objects, of type T.
func follow[T any](i *interim, informer cache.SharedIndexInformer, objects []T) error {
	for _, o := range pointers(objects) {
		i.unseen[keyOf(o)] = struct{}{}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: i.see})
	return err
}

func (i *interim) see(o any) {
	if i.policy.Load() == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.unseen, keyOf(o))
	i.settle()
}

// markStored is called when the policy is stored.
func (i *interim) markStored() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stored = true
	i.settle()
}

func (i *interim) settle() {
	if i.stored && len(i.unseen) == 0 {
		i.policy.Store(nil)
	}
}

// Authorize is authorizer.Authorizer's.
func (i *interim) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if policy := i.policy.Load(); policy != nil {
		return policy.Authorize(ctx, a)
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// keyOf names an object of the policy.
func keyOf(o any) string {
	m, err := meta.Accessor(o)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%T %s/%s", o, m.GetNamespace(), m.GetName())
}

func pointers[T any](values []T) []*T {
	out := make([]*T, len(values))
	for n := range values {
		out[n] = &values[n]
	}
	return out
}
