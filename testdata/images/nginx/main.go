// Command nginx is the reverse proxy of the test image gihyodocker/nginx: it hands every request on port 80 to
// $BACKEND_HOST and logs each as nginx does. It waits a moment for a backend that does not listen yet, because the
// containers of a pod start at the same time. For its way of ending see ../echo.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	linger = time.Second
	finish = 10 * time.Second
	// A backend that refuses is asked again this often and no longer than this.
	retryEvery = 20 * time.Millisecond
	retryFor   = 5 * time.Second
)

func main() {
	log.SetOutput(os.Stdout)
	log.SetFlags(0)
	backend := os.Getenv("BACKEND_HOST")
	if backend == "" {
		log.Fatal("BACKEND_HOST is not set; want the backend's host:port")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
	defer stop()

	server := &http.Server{Addr: ":80", Handler: logged(proxy(backend))}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		log.Fatal(err)
	case <-ctx.Done():
	}
	time.Sleep(linger)
	late, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		log.Fatal(err)
	}
}

func proxy(backend string) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dialPatiently
	p.Transport = transport
	return p
}

func dialPatiently(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialer net.Dialer
	for deadline := time.Now().Add(retryFor); ; time.Sleep(retryEvery) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return conn, err
		}
	}
}

// logged writes one line per request in the common log format.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		log.Printf("%s - - [%s] \"%s %s %s\" %d %d", client, time.Now().Format("02/Jan/2006:15:04:05 -0700"),
			r.Method, r.RequestURI, r.Proto, answer.status, answer.bytes)
	})
}

type recorder struct {
	http.ResponseWriter
	status, bytes int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	n, err := r.ResponseWriter.Write(data)
	r.bytes += n
	return n, err
}

// Unwrap lets the proxy flush and switch protocols through the recorder.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
