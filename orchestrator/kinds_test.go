package orchestrator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// newKindsCluster starts one whose controllers look which kinds there are only when something tells them to.
func newKindsCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), kindsSync: 24 * time.Hour}
	c.start()
	t.Cleanup(func() { c.end() })
	return c
}

// undefine takes such a kind away.
func (c *cluster) undefine(letter string) {
	c.t.Helper()
	definitions, err := crdclient.NewForConfig(c.config)
	fatal(c.t, err)
	name := letter + "s.test.example.com"
	fatal(c.t, definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(c.t.Context(), name, metav1.DeleteOptions{}))
	eventually(c.t, func() error {
		_, err := definitions.ApiextensionsV1().CustomResourceDefinitions().Get(c.t.Context(), name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the definition is still there: %v", err)
		}
		return nil
	})
}

// define makes a kind with a name of one letter, as plain as can be, and waits until the first object in namespace default is made.
func (c *cluster) define(letter string) dynamic.NamespaceableResourceInterface {
	t := c.t
	t.Helper()
	definitions, err := crdclient.NewForConfig(c.config)
	fatal(t, err)
	group, plural := "test.example.com", letter+"s"
	anything := true
	_, err = definitions.ApiextensionsV1().CustomResourceDefinitions().Create(context.Background(), &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Singular: letter, Kind: letter, ListKind: letter + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &anything}},
			}},
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	objects, err := dynamic.NewForConfig(c.config)
	fatal(t, err)
	kind := objects.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural})
	eventually(t, func() error {
		_, err := kind.Namespace("default").Create(context.Background(), custom(letter, "first"), metav1.CreateOptions{})
		return err
	})
	return kind
}

func custom(kind, name string, owners ...metav1.OwnerReference) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "test.example.com/v1", "kind": kind}}
	u.SetName(name)
	u.SetOwnerReferences(owners)
	return u
}

// owner makes a ConfigMap that owns something.
func (c *cluster) owner(ns, name string) metav1.OwnerReference {
	c.t.Helper()
	owner, err := c.client.CoreV1().ConfigMaps(ns).Create(c.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	fatal(c.t, err)
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: owner.UID}
}

// awaitCollected deletes the owner of an object, which has to follow.
func (c *cluster) awaitCollected(kind dynamic.ResourceInterface, ns, owner, owned string) {
	c.t.Helper()
	fatal(c.t, c.client.CoreV1().ConfigMaps(ns).Delete(c.t.Context(), owner, metav1.DeleteOptions{}))
	eventually(c.t, func() error {
		if _, err := kind.Get(c.t.Context(), owned, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("what lost its owner is still there: %v", err)
		}
		return nil
	})
}

// limit allows one object of such a kind in a namespace.
func (c *cluster) limit(ns, plural string) {
	c.t.Helper()
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{count(plural): resource.MustParse("1")},
	}}
	_, err := c.client.CoreV1().ResourceQuotas(ns).Create(c.t.Context(), quota, metav1.CreateOptions{})
	fatal(c.t, err)
}

func count(plural string) corev1.ResourceName {
	return corev1.ResourceName("count/" + plural + ".test.example.com")
}

func (c *cluster) awaitCounted(ns, plural string) {
	c.t.Helper()
	eventually(c.t, func() error {
		quota, err := c.client.CoreV1().ResourceQuotas(ns).Get(c.t.Context(), "few", metav1.GetOptions{})
		if _, counted := quota.Status.Used[count(plural)]; err != nil || !counted {
			return fmt.Errorf("the new kind is not counted: %v, %v", quota.Status, err)
		}
		return nil
	})
}

// Kinds that are a moment old are collected, counted and emptied like others, long before anybody would ask which kinds there are.
func TestNewKindsAreNoticed(t *testing.T) {
	t.Parallel()
	c := newKindsCluster(t)
	ns := c.namespace("fresh")
	c.limit(ns, "bs")
	kind := c.define("b")
	c.awaitCounted(ns, "bs")
	owned := custom("b", "owned", c.owner(ns, "owner"))
	_, err := kind.Namespace(ns).Create(t.Context(), owned, metav1.CreateOptions{})
	fatal(t, err)
	if _, err := kind.Namespace(ns).Create(t.Context(), custom("b", "second"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the quota of one is exceeded: %v", err)
	}
	c.awaitCollected(kind.Namespace(ns), ns, "owner", "owned")
	eventually(t, func() error {
		_, err := kind.Namespace(ns).Create(t.Context(), custom("b", "third"), metav1.CreateOptions{})
		return err // the quota has room again
	})
	fatal(t, c.client.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}))
	eventually(t, func() error {
		if _, err := c.client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the namespace is still there: %v", err)
		}
		return nil
	})
	left, err := kind.List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	if len(left.Items) != 1 || left.Items[0].GetNamespace() != "default" {
		t.Errorf("of a namespace that is gone there is %v", left.Items)
	}
}

// A kind that went and came again is another one, with other objects.
func TestAKindThatComesAgainIsNoticed(t *testing.T) {
	t.Parallel()
	c := newKindsCluster(t)
	ns := c.namespace("again")
	c.limit(ns, "ds")
	for _, round := range []string{"once", "again", "thrice"} {
		kind := c.define("d").Namespace(ns)
		c.awaitCounted(ns, "ds")
		eventually(t, func() error {
			_, err := kind.Create(t.Context(), custom("d", "owned", c.owner(ns, round)), metav1.CreateOptions{})
			return err
		})
		c.awaitCollected(kind, ns, round, "owned")
		c.undefine("d")
	}
}
