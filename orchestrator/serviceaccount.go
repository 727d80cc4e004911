package orchestrator

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

const (
	// defaultServiceAccount is the identity of Pods that name none.
	defaultServiceAccount = "default"
	// rootCAConfigMap holds the certificate by which Pods know the API server.
	rootCAConfigMap = "kube-root-ca.crt"
	rootCAKey       = "ca.crt"
	// rootCADescription is the usual annotation, which says what the ConfigMap is for.
	rootCADescription = "kubernetes.io/description"
)

// serviceAccounts gives every namespace what its Pods need to talk to the API: the
// ConfigMap with the certificate authority, then the ServiceAccount. Pods wait for the
// latter, so it comes last.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
type serviceAccounts struct {
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
	accounts   corelisters.ServiceAccountLister
	configMaps corelisters.ConfigMapLister
	rootCA     string
	loop       *loop[string]
}

func newServiceAccounts(w *world) (controller, error) {
	core := w.informers.Core().V1()
	c := &serviceAccounts{
		client: w.client, namespaces: core.Namespaces().Lister(), accounts: core.ServiceAccounts().Lister(),
		configMaps: core.ConfigMaps().Lister(), rootCA: string(w.opts.RootCA),
	}
	c.loop = newLoop("serviceaccounts", w.log, c.reconcile)
	if err := watch(core.Namespaces().Informer(), func(_, cur *corev1.Namespace) {
		if cur != nil {
			c.loop.queue.Add(cur.Name)
		}
	}); err != nil {
		return nil, err
	}
	if err := watch(core.ServiceAccounts().Informer(), func(old, cur *corev1.ServiceAccount) {
		if cur == nil && old.Name == defaultServiceAccount {
			c.loop.queue.Add(old.Namespace)
		}
	}); err != nil {
		return nil, err
	}
	return c, watch(core.ConfigMaps().Informer(), func(old, cur *corev1.ConfigMap) {
		if m := either(old, cur); m.Name == rootCAConfigMap && (cur == nil || cur.Data[rootCAKey] != c.rootCA) {
			c.loop.queue.Add(m.Namespace)
		}
	})
}

func (c *serviceAccounts) run(ctx context.Context) { c.loop.work(ctx, 1) }

func (c *serviceAccounts) reconcile(ctx context.Context, namespace string) (time.Duration, error) {
	ns, err := c.namespaces.Get(namespace)
	if apierrors.IsNotFound(err) || err == nil && (ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read namespace %s: %w", namespace, err)
	}
	if err := c.ensureRootCA(ctx, namespace); err != nil {
		return 0, notEnding(err)
	}
	return 0, notEnding(c.ensureAccount(ctx, namespace))
}

// notEnding drops the error of a namespace that came to its end meanwhile.
func notEnding(err error) error {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *serviceAccounts) ensureRootCA(ctx context.Context, namespace string) error {
	have, err := c.configMaps.ConfigMaps(namespace).Get(rootCAConfigMap)
	maps := c.client.CoreV1().ConfigMaps(namespace)
	switch {
	case c.rootCA == "":
		return nil
	case err == nil && have.Data[rootCAKey] == c.rootCA && len(have.Data) == 1:
		return nil
	case err == nil:
		have = have.DeepCopy()
		have.Data = map[string]string{rootCAKey: c.rootCA}
		_, err = maps.Update(ctx, have, metav1.UpdateOptions{})
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rootCAConfigMap, Annotations: map[string]string{
				rootCADescription: "The certificate authority of this cluster's API server, for programs in Pods.",
			}},
			Data: map[string]string{rootCAKey: c.rootCA},
		}, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("write ConfigMap %s/%s: %w", namespace, rootCAConfigMap, err)
	}
	return nil
}

func (c *serviceAccounts) ensureAccount(ctx context.Context, namespace string) error {
	_, err := c.accounts.ServiceAccounts(namespace).Get(defaultServiceAccount)
	if !apierrors.IsNotFound(err) {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: defaultServiceAccount}}
	_, err = c.client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create ServiceAccount %s/%s: %w", namespace, defaultServiceAccount, err)
	}
	return nil
}
