package files

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
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
	// tokenRetry is how soon a request that failed is repeated, twice as late each time up to tokenRetryMax.
	// Meanwhile the old token serves while it is good.
	tokenRetry    = 10 * time.Second
	TokenRetryMax = time.Minute
)

// Tokens are the ServiceAccount tokens of Pods, bound to them. Each is requested once and
// renewed when it is due.
type Tokens struct {
	client kubernetes.Interface
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex // guards what follows
	held map[types.UID]map[tokenKey]*heldToken
}

func NewTokens(client kubernetes.Interface, log *slog.Logger, now func() time.Time) *Tokens {
	return &Tokens{client: client, log: log, now: now, held: map[types.UID]map[tokenKey]*heldToken{}}
}

// token is the token that a projected volume declares.
func (t *Tokens) token(ctx context.Context, pod *v1.Pod, s *v1.ServiceAccountTokenProjection) (string, error) {
	key := tokenKey{audience: s.Audience}
	if s.ExpirationSeconds != nil {
		key.seconds = *s.ExpirationSeconds
	}
	held := t.find(pod.UID, key)
	if t.now().Before(held.renewal) {
		return held.use(t.now())
	}
	fresh, err := t.request(ctx, pod, key)
	if err != nil {
		fresh = held.failed(err, t.now())
		t.log.Warn("a token is not there yet", "pod", pods.RefOf(pod), "the one before ends", held.expires, "next try", fresh.renewal, "error", err)
	}
	t.hold(pod.UID, key, fresh)
	return fresh.use(t.now())
}

func (t *Tokens) hold(pod types.UID, key tokenKey, h *heldToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[pod] == nil {
		t.held[pod] = map[tokenKey]*heldToken{}
	}
	t.held[pod][key] = h
}

func (t *Tokens) find(pod types.UID, key tokenKey) *heldToken {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[pod][key]; h != nil {
		return h
	}
	return &heldToken{}
}

func (t *Tokens) request(ctx context.Context, pod *v1.Pod, key tokenKey) (*heldToken, error) {
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

// Renewal is when the next of a Pod's tokens will be due; zero if none will. One that is due and was not
// requested waits for another source of its volume.
func (t *Tokens) Renewal(pod types.UID) (due time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held[pod] {
		if h.renewal.After(t.now()) {
			due = pods.Earliest(due, h.renewal)
		}
	}
	return due
}

// Forget drops the tokens of a Pod that is gone.
func (t *Tokens) Forget(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, pod)
}

type tokenKey struct {
	audience string
	seconds  int64
}

// heldToken is a token, or what became of the last request for one.
type heldToken struct {
	text    string
	expires time.Time // zero: there was none yet
	renewal time.Time // not requested again before
	delay   time.Duration
	err     error // of the last request; nil: it succeeded
}

// use returns the token while it is good, or else why there is none.
func (h *heldToken) use(now time.Time) (string, error) {
	if h.err != nil && !now.Before(h.expires) {
		return "", h.err
	}
	return h.text, nil
}

// failed is the same token after one more request that failed.
func (h *heldToken) failed(err error, now time.Time) *heldToken {
	delay := min(max(2*h.delay, tokenRetry), TokenRetryMax)
	return &heldToken{text: h.text, expires: h.expires, renewal: now.Add(delay), delay: delay, err: err}
}
