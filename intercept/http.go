package intercept

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

const (
	// idleLimit is how long a connection to the process or a pod is kept for a next request.
	idleLimit = 30 * time.Second
	// headerLimit is how long a client may take to say the headers of a request.
	headerLimit = time.Minute
)

// requests leads HTTP requests that have all headers to the process, and the others to the pods, as they are: HTTP/1.1 and
// HTTP/2 without TLS, upgrades such as WebSocket's too.
type requests struct {
	headers []header
	process *process
	pods    *pods
	log     *slog.Logger

	one, two *http.Transport // HTTP/1.1 and HTTP/2

	mu     sync.Mutex // guards what follows
	ended  bool
	active sync.WaitGroup // handlers, which outlive the server where a connection was upgraded
}

// processHost is the process in the URL of a request that goes on; it is no address.
const processHost = "process"

func newRequests(headers []header, to *process, others *pods, log *slog.Logger) *requests {
	r := &requests{headers: headers, process: to, pods: others, log: log}
	r.one, r.two = r.transport(), r.transport()
	r.one.Protocols.SetHTTP1(true)
	r.two.Protocols.SetUnencryptedHTTP2(true)
	return r
}

func (r *requests) transport() *http.Transport {
	dialer := net.Dialer{Timeout: podLimit}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(address); host == processHost {
				return r.process.dial(ctx)
			}
			return dialer.DialContext(ctx, network, address)
		},
		IdleConnTimeout: idleLimit, DisableCompression: true, Protocols: new(http.Protocols),
	}
}

// serve answers what comes until the listener is closed, and returns when no request is left. ctx cuts those that are.
func (r *requests) serve(ctx context.Context, l net.Listener) {
	server := &http.Server{
		Handler: r.handler(), BaseContext: func(net.Listener) context.Context { return ctx }, Protocols: new(http.Protocols),
		ReadHeaderTimeout: headerLimit, DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	_ = server.Serve(l) // it ends with the listener
	_ = server.Shutdown(ctx)
	_ = server.Close()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.active.Wait()
	r.one.CloseIdleConnections()
	r.two.CloseIdleConnections()
}

func (r *requests) handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: r, FlushInterval: -1, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "kube-lite: intercept: "+err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.begin() {
			http.Error(w, "kube-lite: the intercept has ended", http.StatusServiceUnavailable)
			return
		}
		defer r.active.Done()
		// Else Go's server would take the rest of the request's body away when the answer begins; HTTP/2 has no such rule.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, req)
	})
}

// begin counts a request, unless the intercept has ended.
func (r *requests) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.active.Add(1)
	}
	return !r.ended
}

// rewrite leaves a request as it is. httputil takes away what an earlier proxy has said of it, which is put back.
func rewrite(p *httputil.ProxyRequest) {
	p.Out.Host = p.In.Host
	p.Out.URL.Scheme, p.Out.URL.RawQuery = "http", p.In.URL.RawQuery // as it came, also where Go would not parse it
	for _, key := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, said := p.In.Header[key]; said {
			p.Out.Header[key] = values
		}
	}
	// Who changed to HTTP/2 would send requests whose headers nobody has seen.
	if strings.EqualFold(p.Out.Header.Get("Upgrade"), "h2c") {
		p.Out.Header.Del("Upgrade")
		p.Out.Header.Del("Connection")
	}
	p.Out.Header.Del("Http2-Settings")
}

// RoundTrip is http.RoundTripper's. A request that cannot be sent goes to the next who may answer it.
func (r *requests) RoundTrip(req *http.Request) (*http.Response, error) {
	transport := r.one
	if req.ProtoMajor == 2 {
		transport = r.two
	}
	err := errNoEndpoints
	for _, host := range r.hosts(req) {
		out, url := *req, *req.URL // a transport may look at a request after it has failed
		url.Host, out.URL = host, &url
		if req.Body != nil && req.Body != http.NoBody {
			out.Body = io.NopCloser(req.Body) // a transport closes the body of a request that it could not send
		}
		response, failed := transport.RoundTrip(&out)
		if failed == nil {
			return response, nil
		}
		err = fmt.Errorf("%s: %w", host, failed)
		if op := (*net.OpError)(nil); req.Context().Err() != nil || !errors.As(failed, &op) || op.Op != "dial" {
			return nil, err
		}
	}
	return nil, err
}

// hosts are who may answer a request, in the order in which they are asked.
func (r *requests) hosts(req *http.Request) (all []string) {
	if r.matches(req) {
		all = append(all, net.JoinHostPort(processHost, "80"))
	}
	for _, endpoint := range r.pods.inTurn() {
		all = append(all, endpoint.String())
	}
	return all
}

func (r *requests) matches(req *http.Request) bool {
	for _, h := range r.headers {
		if !h.on(req) {
			return false
		}
	}
	return true
}
