package runtime

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

// Handler is the part of a kubelet's HTTP API that an API server calls for the
// subresources of Pods:
//
//	GET       /containerLogs/{namespace}/{pod}/{container}
//	GET, POST /exec/{namespace}/{pod}[/{uid}]/{container}
//	GET, POST /attach/{namespace}/{pod}[/{uid}]/{container}
//	GET, POST /portForward/{namespace}/{pod}[/{uid}]
//
// and of its figures (see stats.register), with a kubelet's query parameters, protocols (SPDY and every version of the
// WebSocket ones) and words. It asks for no credentials: serve it only where none
// but the API server can reach it.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.streamer)
	a.stats.register(mux)
	return mux
}

func (a *Agent) podNamed(namespace, name string) (*corev1.Pod, bool) {
	pod, err := a.pods.Pods(namespace).Get(name)
	return pod, err == nil
}

// runningContainer finds the container of a Pod that has a process to talk to.
func (a *Agent) runningContainer(namespace, pod string, uid types.UID, container string) (string, bool) {
	id, err := a.containerID(namespace, pod, uid, container)
	if err != nil {
		return "", false
	}
	found, ok := a.mirror.get(id)
	return id, ok && found.Running()
}

// streamer serves Handler's requests. It depends on the Agent through two lookups
// only. A session is a request, or a connection that a request was upgraded to.
type streamer struct {
	engine *docker.Engine
	// pod returns the Pod as last seen, with its status.
	pod func(namespace, name string) (*corev1.Pod, bool)
	// running returns the Docker ID of a Pod's container and whether it runs; an empty
	// uid means whichever Pod of that name exists, sandboxName means the sandbox.
	running findFunc
	// next waits for a container's next run; see Agent.successor.
	next func(ctx context.Context, ref podRef, container, id string) (string, bool)
	log  *slog.Logger
	mux  *http.ServeMux

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

func newStreamer(engine *docker.Engine, pod func(namespace, name string) (*corev1.Pod, bool),
	running findFunc, log *slog.Logger) *streamer {
	s := &streamer{
		engine: engine, pod: pod, running: running, log: log,
		next: func(context.Context, podRef, string, string) (string, bool) { return "", false },
		mux:  http.NewServeMux(), cancels: map[*context.CancelCauseFunc]struct{}{}, held: map[string]*held{},
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

// run lets sessions live until ctx ends, then ends them and waits for them. Later
// requests get 503.
func (s *streamer) run(ctx context.Context) error {
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

// ServeHTTP serves one session. Its context ends with the client, with run or when
// it is done, whichever comes first.
func (s *streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
// unless run has ended.
func (s *streamer) begin(cancel *context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.cancels[cancel] = struct{}{}
	s.work.Add(1)
	return true
}

func (s *streamer) end(cancel *context.CancelCauseFunc) {
	(*cancel)(nil)
	s.mu.Lock()
	delete(s.cancels, cancel)
	s.mu.Unlock()
	s.work.Done()
}

// spawn runs a goroutine of the calling session.
func (s *streamer) spawn(f func()) { s.work.Go(f) }
