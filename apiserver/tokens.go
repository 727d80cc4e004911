package apiserver

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/keyutil"
	nodestore "k8s.io/kubernetes/pkg/registry/core/node/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	serviceaccountstore "k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage"
	"k8s.io/kubernetes/pkg/routes"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// tokenIssuer is who signs the tokens of ServiceAccounts, and the audience of those that
// are asked for without one.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection
const tokenIssuer = "https://kubernetes.default.svc.cluster.local"

// tokenKeyFile holds the key that signs the tokens, beside the certificates. It is made
// once: with another key all tokens would be void.
const tokenKeyFile = "service-account.key"

// loadTokenKey reads the signing key, or makes one.
func loadTokenKey(dir string) (crypto.Signer, error) {
	path := filepath.Join(dir, tokenKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeTokenKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := keyutil.ParsePrivateKeyPEM(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: not a private key that signs", path)
	}
	return signer, nil
}

func makeTokenKey(path string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return key, writeSecret(path, text)
}

// tokens signs and knows the tokens of ServiceAccounts.
type tokens struct {
	generator     serviceaccount.TokenGenerator
	secrets       serviceaccount.TokenGenerator // of those in Secrets, which do not end
	authenticator authenticator.Token
	keys          serviceaccount.PublicKeysGetter
	audiences     authenticator.Audiences
}

// newTokens makes them from the signing key. A token is good while its ServiceAccount is
// there, and the Pod, Secret or Node that it is bound to.
func newTokens(key crypto.Signer, client kubernetes.Interface) (*tokens, error) {
	t := &tokens{audiences: authenticator.Audiences{tokenIssuer}}
	var err error
	if t.generator, err = serviceaccount.JWTTokenGenerator(tokenIssuer, key); err != nil {
		return nil, fmt.Errorf("apiserver: sign tokens: %w", err)
	}
	if t.secrets, err = serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, key); err != nil {
		return nil, fmt.Errorf("apiserver: sign tokens of Secrets: %w", err)
	}
	if t.keys, err = serviceaccount.StaticPublicKeysGetter([]any{key.Public()}); err != nil {
		return nil, fmt.Errorf("apiserver: verify tokens: %w", err)
	}
	subjects := tokenSubjects{client}
	inSecrets, err := serviceaccount.NewLegacyValidator(true, subjects, client.CoreV1())
	if err != nil {
		return nil, fmt.Errorf("apiserver: verify tokens of Secrets: %w", err)
	}
	t.authenticator = tokenunion.New(
		serviceaccount.JWTTokenAuthenticator([]string{tokenIssuer}, t.keys, t.audiences, serviceaccount.NewValidator(subjects)),
		serviceaccount.JWTTokenAuthenticator([]string{serviceaccount.LegacyIssuer}, t.keys, t.audiences, inSecrets))
	return t, nil
}

// reviewer answers TokenReviews: it knows tokens and nothing else. A review has no path
// for which it could be anonymous.
func (t *tokens) reviewer() authenticator.Request {
	return group.NewAuthenticatedGroupAdder(bearertoken.New(t.authenticator))
}

// tokenSubjects reads what tokens are about, from the store: a cache would honour the
// token of a Pod that has just gone, and refuse that of one that has just come.
type tokenSubjects struct{ client kubernetes.Interface }

func (s tokenSubjects) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return s.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (s tokenSubjects) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return s.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (s tokenSubjects) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return s.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (s tokenSubjects) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return s.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
}

// addServiceAccounts composes ServiceAccounts and their tokens, which the rest of the
// core group cannot: tokens are bound to Pods.
func (s *Server) addServiceAccounts(resources map[string]rest.Storage, c *genericapiserver.Config, pods podstore.PodStorage, nodes *nodestore.NodeStorage) error {
	secrets, ok := resources["secrets"].(rest.Getter)
	if !ok {
		return errors.New("apiserver: compose serviceaccounts: there are no secrets")
	}
	// A Pod's token is good for a year, as a kube-apiserver makes it: programs that read it
	// once go on, and so does everybody after the machine slept for hours. Its file is renewed
	// within the hour all the same.
	accounts, err := serviceaccountstore.NewREST(c.RESTOptionsGetter, s.tokens.generator, s.tokens.audiences, 0,
		pods.Pod.Store, secrets, nodes.Node.Store, true, serviceaccount.ExpirationExtensionSeconds*time.Second)
	if err != nil {
		return fmt.Errorf("apiserver: compose serviceaccounts: %w", err)
	}
	resources["serviceaccounts"] = accounts
	resources["serviceaccounts/token"] = accounts.Token
	return nil
}

// describeTokens serves the OpenID documents with which others can verify tokens.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
func (s *Server) describeTokens() error {
	provider, err := serviceaccount.NewOpenIDMetadataProvider(tokenIssuer, tokenIssuer+serviceaccount.JWKSPath, "", s.tokens.keys)
	if err != nil {
		return fmt.Errorf("apiserver: describe tokens: %w", err)
	}
	routes.NewOpenIDMetadataServer(provider).Install(s.generic.Handler.GoRestfulContainer)
	return nil
}
