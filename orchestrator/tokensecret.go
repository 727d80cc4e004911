package orchestrator

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// secretTokenSeconds is the longest lifetime that the API grants, 136 years: a token in
// a Secret is good as long as the Secret is.
const secretTokenSeconds = int64(1) << 32

// tokenSecrets fills the Secrets of type kubernetes.io/service-account-token: the token
// of the ServiceAccount that the Secret's annotation names, the certificate authority
// and the namespace. A Secret whose ServiceAccount is gone goes too.
// https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
type tokenSecrets struct {
	client  kubernetes.Interface
	secrets corelisters.SecretLister
	rootCA  string
	loop    *loop[cache.ObjectName]
}

func newTokenSecrets(w *world) (controller, error) {
	core := w.informers.Core().V1()
	c := &tokenSecrets{client: w.client, secrets: core.Secrets().Lister(), rootCA: string(w.opts.RootCA)}
	c.loop = newLoop("token secrets", w.log, c.reconcile)
	if err := watch(core.Secrets().Informer(), func(_, cur *corev1.Secret) {
		if cur != nil && cur.Type == corev1.SecretTypeServiceAccountToken {
			c.loop.queue.Add(cache.MetaObjectToName(cur))
		}
	}); err != nil {
		return nil, err
	}
	return c, watch(core.ServiceAccounts().Informer(), func(old, cur *corev1.ServiceAccount) {
		if cur == nil {
			c.queueSecretsOf(old)
		}
	})
}

func (c *tokenSecrets) run(ctx context.Context) { c.loop.work(ctx, 1) }

// queueSecretsOf wakes the Secrets of a ServiceAccount that is gone.
func (c *tokenSecrets) queueSecretsOf(account *corev1.ServiceAccount) {
	secrets, _ := c.secrets.Secrets(account.Namespace).List(labels.Everything()) // a lister cannot fail
	for _, secret := range secrets {
		if secret.Type == corev1.SecretTypeServiceAccountToken && secret.Annotations[corev1.ServiceAccountNameKey] == account.Name {
			c.loop.queue.Add(cache.MetaObjectToName(secret))
		}
	}
}

func (c *tokenSecrets) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	secret, err := c.secrets.Secrets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) || err == nil && (secret.DeletionTimestamp != nil || secret.Type != corev1.SecretTypeServiceAccountToken) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read Secret %s: %w", key, err)
	}
	// The server's account, not the cache's: the Secret often comes right after it.
	name := secret.Annotations[corev1.ServiceAccountNameKey]
	account, err := c.client.CoreV1().ServiceAccounts(key.Namespace).Get(ctx, name, metav1.GetOptions{})
	uid := secret.Annotations[corev1.ServiceAccountUIDKey]
	if apierrors.IsNotFound(err) || err == nil && uid != "" && uid != string(account.UID) {
		return 0, c.delete(ctx, secret)
	}
	if err != nil {
		return 0, fmt.Errorf("read ServiceAccount %s/%s: %w", key.Namespace, name, err)
	}
	return 0, notEnding(c.fill(ctx, secret, account))
}

// fill adds to the Secret what it lacks.
func (c *tokenSecrets) fill(ctx context.Context, have *corev1.Secret, account *corev1.ServiceAccount) error {
	secret := have.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	hasCA := c.rootCA == "" || string(secret.Data[corev1.ServiceAccountRootCAKey]) == c.rootCA
	hasToken := len(secret.Data[corev1.ServiceAccountTokenKey]) > 0
	if hasCA && hasToken && len(secret.Data[corev1.ServiceAccountNamespaceKey]) > 0 && secret.Annotations[corev1.ServiceAccountUIDKey] != "" {
		return nil
	}
	if !hasCA {
		secret.Data[corev1.ServiceAccountRootCAKey] = []byte(c.rootCA)
	}
	if len(secret.Data[corev1.ServiceAccountNamespaceKey]) == 0 {
		secret.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	}
	if !hasToken {
		token, err := c.token(ctx, secret, account)
		if err != nil {
			return err
		}
		secret.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	secret.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	if _, err := c.client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("fill Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}

// token asks for one that is good while the Secret and its ServiceAccount are there.
func (c *tokenSecrets) token(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) (string, error) {
	seconds := secretTokenSeconds
	got, err := c.client.CoreV1().ServiceAccounts(account.Namespace).CreateToken(ctx, account.Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: &seconds,
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request a token of ServiceAccount %s/%s for Secret %s: %w", account.Namespace, account.Name, secret.Name, err)
	}
	return got.Status.Token, nil
}

// delete removes the Secret that was read, not one that came in its place.
func (c *tokenSecrets) delete(ctx context.Context, secret *corev1.Secret) error {
	err := c.client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Secret %s/%s, whose ServiceAccount is gone: %w", secret.Namespace, secret.Name, err)
	}
	return nil
}
