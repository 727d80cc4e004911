package apiserver

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// policyObject is a role or binding as upstream's reconciliation sees it.
type policyObject interface {
	GetObject() runtime.Object
	GetNamespace() string
	GetName() string
}

// modifier has upstream's reconciliation read and write a registry: O is how it sees the objects, V their type in the
// API and I the registry's. It has no context of its own, as upstream's interface has none.
type modifier[O policyObject, V, I any] struct {
	ctx      context.Context
	registry *genericregistry.Store
	adapt    func(*V) O
}

// in is the context of a request for the namespace: validation goes by the version.
func (m modifier[O, V, I]) in(namespace string) context.Context {
	resource := m.registry.DefaultQualifiedResource
	return genericapirequest.WithNamespace(genericapirequest.WithRequestInfo(m.ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, APIGroup: resource.Group, APIVersion: rbacv1.SchemeGroupVersion.Version, Resource: resource.Resource, Namespace: namespace,
	}), namespace)
}

// Get is that of reconciliation.RuleOwnerModifier and RoleBindingModifier, like those that follow.
func (m modifier[O, V, I]) Get(namespace, name string) (O, error) {
	return m.out(m.registry.Get(m.in(namespace), name, &metav1.GetOptions{}))
}

func (m modifier[O, V, I]) Create(o O) (O, error) {
	object, err := m.internal(o)
	if err != nil {
		return o, err
	}
	return m.out(m.registry.Create(m.in(o.GetNamespace()), object, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}))
}

func (m modifier[O, V, I]) Update(o O) (O, error) {
	object, err := m.internal(o)
	if err != nil {
		return o, err
	}
	updated, _, err := m.registry.Update(m.in(o.GetNamespace()), o.GetName(), rest.DefaultUpdatedObjectInfo(object),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return m.out(updated, err)
}

func (m modifier[O, V, I]) Delete(namespace, name string, uid types.UID) error {
	_, _, err := m.registry.Delete(m.in(namespace), name, rest.ValidateAllObjectFunc, metav1.NewPreconditionDeleteOptions(string(uid)))
	return err
}

func (m modifier[O, V, I]) internal(o O) (runtime.Object, error) {
	object := any(new(I)).(runtime.Object)
	return object, legacyscheme.Scheme.Convert(o.GetObject(), object, nil)
}

func (m modifier[O, V, I]) out(object runtime.Object, err error) (O, error) {
	versioned := new(V)
	if err == nil {
		err = legacyscheme.Scheme.Convert(object, versioned, nil)
	}
	return m.adapt(versioned), err
}
