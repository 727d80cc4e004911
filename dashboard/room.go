package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
)

// Options say what a Room serves. All fields are required.
type Options struct {
	// Connect returns a client of the API as a user, until it is released.
	Connect func(user.Info) (config *rest.Config, release func())
	// About is what the page says of the instance.
	About func(context.Context) (About, error)
	Log   *slog.Logger
}

// About says which instance it is.
type About struct {
	Instance string   `json:"instance"`
	Version  string   `json:"version"`
	Nodes    []string `json:"nodes"`
	// HTTPPort and HTTPSPort are where Ingresses are served; 0: nowhere.
	HTTPPort  int `json:"httpPort"`
	HTTPSPort int `json:"httpsPort"`
}

// limits bound how long a login is good for.
type limits struct {
	code time.Duration // from the link to the page
	idle time.Duration // from the last request to the end of the session
}

// maxCodes bounds how many links are good at once: whoever has a token of the cluster may ask for one.
const maxCodes = 100

// headerTime is how long a client may take to say what it wants.
const headerTime = 10 * time.Second

// Room serves the page to those who are logged in.
type Room struct {
	opts   Options
	limits limits

	mu       sync.Mutex // guards what follows
	server   *http.Server
	address  string // where server listens
	codes    map[digest]*code
	sessions map[digest]*session
	closed   bool
	serving  sync.WaitGroup
}

// New returns a room in which nobody is logged in.
func New(opts Options) *Room {
	return &Room{
		opts: opts, limits: limits{code: time.Minute, idle: 12 * time.Hour},
		codes: map[digest]*code{}, sessions: map[digest]*session{},
	}
}

// Run waits for ctx's end, and ends all sessions then. A room runs once.
func (r *Room) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.closed = true
	for key := range r.codes {
		r.dropCode(key)
	}
	for key := range r.sessions {
		r.end(key)
	}
	r.mu.Unlock()
	r.serving.Wait()
	return nil
}

var (
	errStopping = errors.New("the instance stops")
	errMany     = errors.New("too many links are waiting to be followed: try again in a minute")
)

// open listens, if nobody does yet, and returns the address. Port 0 is any.
func (r *Room) open(port uint16) (address string, err error) {
	if r.closed {
		return "", errStopping
	}
	if r.server != nil {
		if _, at, _ := net.SplitHostPort(r.address); port != 0 && at != strconv.Itoa(int(port)) {
			return "", fmt.Errorf("the page is served at port %s already, until everybody has signed out", at)
		}
		return r.address, nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler: guard(r.routes()), ReadHeaderTimeout: headerTime,
		ErrorLog: slog.NewLogLogger(r.opts.Log.Handler(), slog.LevelDebug), // of clients that are no browsers
	}
	r.server, r.address = server, listener.Addr().String()
	r.serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.opts.Log.Error("the dashboard is not served any more", "error", err)
		}
	})
	return r.address, nil
}

// settle stops to listen when nobody is left.
func (r *Room) settle() {
	if r.server != nil && len(r.codes) == 0 && len(r.sessions) == 0 {
		_ = r.server.Close() // cuts what is still open
		r.server = nil
	}
}
