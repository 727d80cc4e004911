package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// limit is long enough for any answer on loopback.
const limit = 5 * time.Second

// addressOf splits a test server's address.
func addressOf(t *testing.T, address string) (host string, port int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func handler(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/bad":
		http.Error(w, "secret detail", http.StatusInternalServerError)
	case "/elsewhere":
		http.Redirect(w, r, "http://other.invalid/", http.StatusFound)
	case "/here":
		http.Redirect(w, r, "/", http.StatusFound)
	case "/headers":
		if r.Host != "web.example" || r.Header.Get("X-Probe") != "yes" || !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
			http.Error(w, "no", http.StatusTeapot)
		}
	case "/slow":
		<-r.Context().Done()
	}
}

func TestHTTPProbe(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(handler))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(handler))
	defer secure.Close()
	for _, test := range []struct {
		name, path string
		server     *httptest.Server
		change     func(*v1.HTTPGetAction)
		want       Result
		says       string
	}{
		{name: "a status below 400 is a success", path: "/", server: plain, want: Success},
		{name: "a status from 400 on is a failure, and its body is not told", path: "/bad", server: plain, want: Failure, says: "HTTP probe failed with statuscode: 500"},
		{name: "HTTPS is not verified", path: "/", server: secure, want: Success},
		{name: "a redirect on the same host is followed", path: "/here", server: plain, want: Success},
		{name: "a redirect to another host is a warning", path: "/elsewhere", server: plain, want: Warning},
		{name: "headers and the host's name are sent", path: "/headers", server: plain, want: Success, change: func(a *v1.HTTPGetAction) {
			a.HTTPHeaders = []v1.HTTPHeader{{Name: "Host", Value: "web.example"}, {Name: "X-Probe", Value: "yes"}}
		}},
		{name: "a port may be named", path: "/", server: plain, want: Success, change: func(a *v1.HTTPGetAction) { a.Port = intstr.FromString("web") }},
		{name: "a port that is not declared tells nothing", path: "/", server: plain, want: Unknown, change: func(a *v1.HTTPGetAction) { a.Port = intstr.FromString("other") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := url.Parse(test.server.URL)
			if err != nil {
				t.Fatal(err)
			}
			host, port := addressOf(t, at.Host)
			get := &v1.HTTPGetAction{Path: test.path, Port: intstr.FromInt(port), Scheme: v1.URIScheme(strings.ToUpper(at.Scheme))}
			if test.change != nil {
				test.change(get)
			}
			target := Target{Host: host, Container: &v1.Container{Ports: []v1.ContainerPort{{Name: "web", ContainerPort: int32(port)}}}}
			result, says := New().Ask(t.Context(), v1.ProbeHandler{HTTPGet: get}, limit, target)
			if result != test.want || !strings.Contains(says, test.says) {
				t.Errorf("got %v %q, want %v %q", result, says, test.want, test.says)
			}
		})
	}
}

func TestSlowAnswerIsAFailure(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()
	host, port := addressOf(t, strings.TrimPrefix(server.URL, "http://"))
	get := &v1.HTTPGetAction{Path: "/slow", Port: intstr.FromInt(port), Scheme: v1.URISchemeHTTP}
	result, says := New().Ask(t.Context(), v1.ProbeHandler{HTTPGet: get}, 50*time.Millisecond, Target{Host: host, Container: &v1.Container{}})
	if result != Failure || !strings.Contains(says, "deadline exceeded") {
		t.Errorf("got %v %q", result, says)
	}
}

func TestTCPProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port := addressOf(t, listener.Addr().String())
	ask := func() (Result, string) {
		return New().Ask(t.Context(), v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt(port)}}, limit, Target{Host: host, Container: &v1.Container{}})
	}
	if result, says := ask(); result != Success {
		t.Errorf("open: %v %q", result, says)
	}
	listener.Close()
	if result, says := ask(); result != Failure || !strings.Contains(says, "connection refused") {
		t.Errorf("closed: %v %q", result, says)
	}
}

func TestGRPCProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, states := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	states.SetServingStatus("sick", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	host, port := addressOf(t, listener.Addr().String())
	for service, want := range map[string]struct {
		result Result
		says   string
	}{
		"":        {Success, "service healthy"},
		"sick":    {Failure, `service unhealthy (responded with "NOT_SERVING")`},
		"unknown": {Failure, "health rpc probe failed"},
	} {
		action := &v1.GRPCAction{Port: int32(port), Service: &service}
		result, says := New().Ask(t.Context(), v1.ProbeHandler{GRPC: action}, limit, Target{Host: host})
		if result != want.result || !strings.Contains(says, want.says) {
			t.Errorf("service %q: got %v %q, want %v %q", service, result, says, want.result, want.says)
		}
	}
	server.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	result, says := New().Ask(t.Context(), v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: int32(port)}}, limit, Target{Host: host})
	if want := fmt.Sprintf(`error: failed to connect service at "%s:%d": `, host, port); result != Failure || !strings.HasPrefix(says, want) || !strings.Contains(says, "connection refused") {
		t.Errorf("nobody listens: %v %q, want %s", result, says, want)
	}
}

func TestExecProbe(t *testing.T) {
	ask := func(code int, output string, err error) (Result, string) {
		target := Target{Container: &v1.Container{}, Exec: func(context.Context, []string) (int, string, error) { return code, output, err }}
		return New().Ask(t.Context(), v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"sleep", "5"}}}, time.Second, target)
	}
	if result, says := ask(0, "fine", nil); result != Success || says != "fine" {
		t.Errorf("exit code 0: %v %q", result, says)
	}
	if result, says := ask(2, "broken", nil); result != Failure || says != "broken" {
		t.Errorf("exit code 2: %v %q", result, says)
	}
	if result, _ := ask(0, "", errors.New("no such container")); result != Unknown {
		t.Errorf("a command that cannot be run: %v", result)
	}
	if result, says := ask(0, "", context.DeadlineExceeded); result != Failure || says != `command timed out: "sleep 5" timed out after 1s` {
		t.Errorf("a command that hangs: %v %q", result, says)
	}
}

func TestCommandOfAProbeKnowsTheDeclaredVariables(t *testing.T) {
	var got []string
	target := Target{
		Container: &v1.Container{Env: []v1.EnvVar{{Name: "PORT", Value: "80"}}},
		Exec:      func(_ context.Context, command []string) (int, string, error) { got = command; return 0, "", nil },
	}
	New().Ask(t.Context(), v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"ask", ":$(PORT)", "$(OTHER)", "$$(PORT)"}}}, limit, target)
	if want := []string{"ask", ":80", "$(OTHER)", "$(PORT)"}; !slices.Equal(got, want) {
		t.Errorf("asked by %q, want %q", got, want)
	}
}

func TestHookTakesAnyAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(handler))
	host, port := addressOf(t, strings.TrimPrefix(server.URL, "http://"))
	get := &v1.HTTPGetAction{Path: "/bad", Port: intstr.FromInt(port), Scheme: v1.URISchemeHTTP}
	target := Target{Host: host, Container: &v1.Container{}}
	if _, err := New().Get(t.Context(), get, target); err != nil {
		t.Errorf("status 500: %v", err)
	}
	server.Close()
	if _, err := New().Get(t.Context(), get, target); err == nil {
		t.Error("nobody answered, and that was fine")
	}
}

func TestHookOfAServerWithoutTLSIsSentInPlain(t *testing.T) {
	var secrets []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		secrets = append(secrets, r.Header.Get("Authorization"))
	}))
	defer server.Close()
	host, port := addressOf(t, strings.TrimPrefix(server.URL, "http://"))
	get := &v1.HTTPGetAction{
		Path: "/", Port: intstr.FromInt(port), Scheme: v1.URISchemeHTTPS,
		HTTPHeaders: []v1.HTTPHeader{{Name: "Authorization", Value: "hush"}},
	}
	plain, err := New().Get(t.Context(), get, Target{Host: host, Container: &v1.Container{}})
	if !plain || err != nil || !slices.Equal(secrets, []string{""}) {
		t.Errorf("plain %v, %v; it got %q", plain, err, secrets)
	}
}

func TestHookIsNotLedToAnotherHost(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	_, elsewhere := addressOf(t, strings.TrimPrefix(other.URL, "http://"))
	server := httptest.NewServer(http.RedirectHandler(fmt.Sprintf("http://localhost:%d/", elsewhere), http.StatusFound))
	defer server.Close()
	host, port := addressOf(t, strings.TrimPrefix(server.URL, "http://"))
	get := &v1.HTTPGetAction{Path: "/", Port: intstr.FromInt(port), Scheme: v1.URISchemeHTTP}
	if _, err := New().Get(t.Context(), get, Target{Host: host, Container: &v1.Container{}}); err != nil || asked.Load() > 0 {
		t.Errorf("%v; the other host was asked %d times", err, asked.Load())
	}
}
