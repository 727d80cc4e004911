package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
)

// digest is that of a secret, so that looking one up tells nothing of the others by its time.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// newSecret is a code or a token.
func newSecret() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return hex.EncodeToString(secret[:])
}

// code stands for a user who may log in once.
type code struct {
	user    user.Info
	program string
	expiry  *time.Timer
}

// session is one user's, on however many pages.
type session struct {
	user      user.Info
	program   string       // the user's command: kube-lite --name=demo
	config    *rest.Config // as the user
	transport http.RoundTripper
	ctx       context.Context // ends with the session
	end       context.CancelFunc
	release   func()
	expiry    *time.Timer
	requests  int // under way; guarded by Room.mu
	forwards  *forwards
	kinds     kinds
}

// login makes a link that is good for one session of the user.
func (r *Room) login(u user.Info, request LoginRequest) (link string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.codes) >= maxCodes {
		return "", errMany
	}
	address, err := r.open(request.Port)
	if err != nil {
		return "", err
	}
	secret := newSecret()
	key := digestOf(secret)
	r.codes[key] = &code{u, request.Program, time.AfterFunc(r.limits.code, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.dropCode(key)
	})}
	return "http://" + address + "/#login=" + secret, nil
}

func (r *Room) dropCode(key digest) {
	if c := r.codes[key]; c != nil {
		c.expiry.Stop()
		delete(r.codes, key)
		r.settle()
	}
}

// enter makes a session of a code, and returns its token; "" for a code that is not good.
func (r *Room) enter(secret string) (token string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.codes[digestOf(secret)]
	if c == nil || r.closed {
		return "", nil
	}
	config, release := r.opts.Connect(c.user)
	config = rest.CopyConfig(config)
	config.ContentType, config.AcceptContentTypes = "", "" // whatever the page says
	transport, err := rest.TransportFor(config)
	if err != nil {
		release()
		return "", fmt.Errorf("connect as %s: %w", c.user.GetName(), err)
	}
	s := &session{user: c.user, program: c.program, config: config, transport: transport, release: release}
	s.ctx, s.end = context.WithCancel(context.Background())
	if s.forwards, err = newForwards(config, r.opts.Log); err != nil {
		s.end()
		release()
		return "", err
	}
	token = newSecret()
	key := digestOf(token)
	s.expiry = time.AfterFunc(r.limits.idle, func() { r.expire(key) })
	r.sessions[key] = s
	r.dropCode(digestOf(secret))
	return token, nil
}

// expire ends a session that nobody uses.
func (r *Room) expire(key digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[key]; s != nil && s.requests == 0 {
		r.end(key)
	}
}

func (r *Room) end(key digest) {
	s := r.sessions[key]
	if s == nil {
		return
	}
	delete(r.sessions, key)
	s.expiry.Stop()
	s.end()
	s.release()
	r.serving.Go(s.forwards.close)
	r.settle()
}

// tokenPrefix marks the token among the subprotocols of a WebSocket, to whose request a page can add no header.
const tokenPrefix = "bearer."

// tokenOf reads the token of a request, and takes it away: the API server has one of its own.
func tokenOf(req *http.Request) string {
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		req.Header.Del("Authorization")
		return token
	}
	const header = "Sec-WebSocket-Protocol"
	var token string
	var rest []string
	for p := range strings.SplitSeq(strings.Join(req.Header.Values(header), ","), ",") {
		if secret, ok := strings.CutPrefix(strings.TrimSpace(p), tokenPrefix); ok {
			token = secret
		} else if p = strings.TrimSpace(p); p != "" {
			rest = append(rest, p)
		}
	}
	if token != "" {
		req.Header.Del(header)
		if len(rest) > 0 {
			req.Header.Set(header, strings.Join(rest, ", "))
		}
	}
	return token
}

// inSession serves only those who are logged in. A request ends with its session.
func (r *Room) inSession(serve func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		key := digestOf(tokenOf(req))
		s := r.begin(key)
		if s == nil {
			fail(w, http.StatusUnauthorized, "this session has ended")
			return
		}
		defer r.done(s)
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		serve(w, req.WithContext(ctx), s)
	}
}

func (r *Room) begin(key digest) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[key]
	if s != nil {
		s.requests++
		s.expiry.Stop()
		r.serving.Add(1) // before Run waits: it has ended all sessions then
	}
	return s
}

func (r *Room) done(s *session) {
	defer r.serving.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.requests--; s.requests == 0 && s.ctx.Err() == nil {
		s.expiry.Reset(r.limits.idle)
	}
}
