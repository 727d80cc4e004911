package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// tokenMaxAge is when a token is renewed whatever its lifetime, and tokenUse the part
	// of its lifetime after which it is; a kubelet's.
	// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume
	tokenMaxAge = 24 * time.Hour
	tokenUse    = 0.8
	// tokenRetry is how soon a renewal that failed is tried again; the old token is good
	// until then.
	tokenRetry = 10 * time.Second
)

// apiTokens are the ServiceAccount tokens of Pods, bound to them. Each is requested once and
// renewed when it is due.
type apiTokens struct {
	client kubernetes.Interface
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex // guards what follows
	held map[types.UID]map[tokenKey]*heldToken
}

type tokenKey struct {
	audience string
	seconds  int64
}

type heldToken struct {
	text             string
	renewal, expires time.Time
}

func newTokens(client kubernetes.Interface, log *slog.Logger, now func() time.Time) *apiTokens {
	return &apiTokens{client: client, log: log, now: now, held: map[types.UID]map[tokenKey]*heldToken{}}
}

// token is the token that a projected volume declares.
func (t *apiTokens) token(ctx context.Context, pod *v1.Pod, s *v1.ServiceAccountTokenProjection) (string, error) {
	key := tokenKey{audience: s.Audience}
	if s.ExpirationSeconds != nil {
		key.seconds = *s.ExpirationSeconds
	}
	old := t.find(pod.UID, key)
	if old != nil && t.now().Before(old.renewal) {
		return old.text, nil
	}
	fresh, err := t.request(ctx, pod, key)
	switch {
	case err == nil:
	case old != nil && t.now().Before(old.expires):
		t.log.Warn("a token is not renewed yet", "pod", refOf(pod), "until", old.expires, "error", err)
		fresh = &heldToken{text: old.text, expires: old.expires, renewal: t.now().Add(tokenRetry)}
	default:
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[pod.UID] == nil {
		t.held[pod.UID] = map[tokenKey]*heldToken{}
	}
	t.held[pod.UID][key] = fresh
	return fresh.text, nil
}

func (t *apiTokens) find(pod types.UID, key tokenKey) *heldToken {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[pod][key]
}

func (t *apiTokens) request(ctx context.Context, pod *v1.Pod, key tokenKey) (*heldToken, error) {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if key.audience != "" {
		r.Spec.Audiences = []string{key.audience}
	}
	if key.seconds > 0 {
		r.Spec.ExpirationSeconds = &key.seconds
	}
	name, asked := pod.Spec.ServiceAccountName, t.now()
	got, err := t.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, name, r, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to fetch token: request one of ServiceAccount %s/%s: %w", pod.Namespace, name, err)
	}
	expires := got.Status.ExpirationTimestamp.Time
	life := time.Duration(float64(expires.Sub(asked)) * tokenUse)
	return &heldToken{text: got.Status.Token, expires: expires, renewal: asked.Add(min(life, tokenMaxAge))}, nil
}

// renewal is when the first of a Pod's tokens is due; zero if it has none.
func (t *apiTokens) renewal(pod types.UID) (due time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held[pod] {
		due = earliest(due, h.renewal)
	}
	return due
}

// forget drops the tokens of a Pod that is gone.
func (t *apiTokens) forget(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, pod)
}
