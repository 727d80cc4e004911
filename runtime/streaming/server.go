package streaming

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// streamIdleTimeout ends a stream on which nothing moves: a kubelet's
	// streamingConnectionIdleTimeout.
	streamIdleTimeout = 4 * time.Hour
	// streamCreationTimeout is how long a client may take to open the streams of a
	// session after the upgrade. It follows within a round trip; a kubelet's 30 s
	// would hold up the end of Run by as much.
	streamCreationTimeout = 10 * time.Second
)

// Pods is what a Server asks of the agent whose Pods it serves. An empty uid means
// whichever Pod of that name exists now.
type Pods interface {
	// Pod returns the Pod as last seen, with its status.
	Pod(namespace, name string) (*corev1.Pod, bool)
	// Running returns the Docker ID of a container's latest run and whether it runs.
	Running(namespace, pod string, uid types.UID, container string) (id string, ok bool)
	// Sandbox is Running for the container that holds the Pod's network.
	Sandbox(namespace, pod string, uid types.UID) (id string, ok bool)
}

// Server serves the requests. A session is a request, or a connection that a request was
// upgraded to.
type Server struct {
	engine *docker.Engine
	pods   Pods
	log    *slog.Logger
	mux    *http.ServeMux

	work sync.WaitGroup // sessions and their goroutines

	mu      sync.Mutex // guards what follows; work grows from nothing only under it
	closed  bool
	cancels map[*context.CancelCauseFunc]struct{} // one per session
	held    map[string]*held                      // by container ID
}

var (
	errClientGone = errors.New("the client went away")
	errStopping   = errors.New("the node agent is stopping")
)

// New makes a Server; Run must be called. Without an engine, which only tests lack, it
// can hold nothing and must not be asked.
func New(engine *docker.Engine, pods Pods, log *slog.Logger) *Server {
	s := &Server{
		engine: engine, pods: pods, log: log,
		mux: http.NewServeMux(), cancels: map[*context.CancelCauseFunc]struct{}{}, held: map[string]*held{},
	}
	s.mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.serveLogs)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for path, serve := range map[string]http.HandlerFunc{
			"/exec/{namespace}/{pod}/{container}":         s.serveExec,
			"/exec/{namespace}/{pod}/{uid}/{container}":   s.serveExec,
			"/attach/{namespace}/{pod}/{container}":       s.serveAttach,
			"/attach/{namespace}/{pod}/{uid}/{container}": s.serveAttach,
			"/portForward/{namespace}/{pod}":              s.servePortForward,
			"/portForward/{namespace}/{pod}/{uid}":        s.servePortForward,
		} {
			s.mux.HandleFunc(method+" "+path, serve)
		}
	}
	return s
}

// Run lets sessions live until ctx ends, then ends them and waits for them. Later
// requests get 503. It returns no error.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	for cancel := range s.cancels {
		(*cancel)(errStopping)
	}
	for _, h := range s.held {
		h.forget.Stop()
		h.output.Close()
	}
	clear(s.held)
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// ServeHTTP serves one session. Its context ends with the client, with Run or when
// it is done, whichever comes first.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	if !s.begin(&cancel) {
		cancel(errStopping)
		http.Error(w, errStopping.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.end(&cancel)
	s.mux.ServeHTTP(w, r.WithContext(ctx))
}

// begin counts a session, or a part of one that its request may not wait for,
// unless Run has ended.
func (s *Server) begin(cancel *context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.cancels[cancel] = struct{}{}
	s.work.Add(1)
	return true
}

func (s *Server) end(cancel *context.CancelCauseFunc) {
	(*cancel)(nil)
	s.mu.Lock()
	delete(s.cancels, cancel)
	s.mu.Unlock()
	s.work.Done()
}

// spawn runs a goroutine of the calling session.
func (s *Server) spawn(f func()) { s.work.Go(f) }
