// Package probe asks a container whether it is well, as a kubelet does: by a command in
// it, an HTTP GET, a TCP connection or the gRPC health protocol. A Prober asks once; a
// Loop asks again and again and applies a probe's delays, periods and thresholds. HTTP
// hooks are sent from here too.
//
// The package knows what a Pod may declare (k8s.io/api/core/v1) and nothing of Docker or
// of the API server: commands are run by a function that the caller brings. It decides
// nothing: what follows from an answer is its caller's business.
//
// https://kubernetes.io/docs/concepts/workloads/pods/probes/
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/probe"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// Result is an answer.
type Result int

// The answers. Of an Unknown one, which the prober itself is the cause of, nothing follows.
const (
	Unknown Result = iota
	Success
	Warning // a success with something to tell, such as a redirect to another host
	Failure
)

// Target is the container that is asked.
type Target struct {
	Container *v1.Container // declares the ports that may be named
	Host      string        // the Pod's address, asked unless the probe names another
	// Exec runs a command in the container and returns its exit code and the beginning
	// of its output. The error says that it could not be run, or not in time.
	Exec func(ctx context.Context, command []string) (exitCode int, output string, err error)
}

// Prober asks once. Make it with New; it is safe for concurrent use.
type Prober struct {
	http  httpprobe.Prober
	hooks *http.Client
}

// New makes a prober. It verifies no certificates: those of a Pod name no address.
func New() *Prober {
	return &Prober{http: httpprobe.New(false), hooks: newHookClient()}
}

// Ask does what a probe declares and returns the answer and what was said. It takes at
// most timeout, and ends early with ctx.
func (p *Prober) Ask(ctx context.Context, h v1.ProbeHandler, timeout time.Duration, t Target) (Result, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case h.Exec != nil:
		return askExec(ctx, h.Exec.Command, timeout, t)
	case h.HTTPGet != nil:
		return p.askHTTP(ctx, h.HTTPGet, timeout, t)
	case h.TCPSocket != nil:
		return askTCP(ctx, h.TCPSocket, t)
	case h.GRPC != nil:
		return askGRPC(ctx, h.GRPC, timeout, t)
	}
	return Unknown, "missing probe handler"
}

// askExec: a command that ends with 0 says success. What cannot be run says nothing,
// unless it ran for too long. As with a kubelet $(NAME) is one of the container's variables
// that are declared with a value.
func askExec(ctx context.Context, declared []string, timeout time.Duration, t Target) (Result, string) {
	values := map[string]string{}
	for _, v := range t.Container.Env {
		values[v.Name] = v.Value
	}
	mapping := expansion.MappingFuncFor(values)
	command := make([]string, 0, len(declared))
	for _, part := range declared {
		command = append(command, expansion.Expand(part, mapping))
	}
	code, output, err := t.Exec(ctx, command)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Failure, fmt.Sprintf("command timed out: %q timed out after %v", strings.Join(command, " "), timeout)
	case err != nil:
		return Unknown, err.Error()
	case code != 0:
		return Failure, output
	}
	return Success, output
}

func (p *Prober) askHTTP(ctx context.Context, get *v1.HTTPGetAction, timeout time.Duration, t Target) (Result, string) {
	request, err := newRequest(get, t, "probe")
	if err != nil {
		return Unknown, err.Error()
	}
	result, output, err := p.http.Probe(request.WithContext(ctx), timeout)
	if err != nil {
		return Unknown, err.Error()
	}
	switch result {
	case probe.Success:
		return Success, output
	case probe.Warning:
		return Warning, output
	}
	return Failure, output
}

// askTCP: whoever accepts the connection is well.
func askTCP(ctx context.Context, s *v1.TCPSocketAction, t Target) (Result, string) {
	port, err := portOf(s.Port, t.Container)
	if err != nil {
		return Unknown, err.Error()
	}
	host := s.Host
	if host == "" {
		host = t.Host
	}
	conn, err := probe.ProbeDialer().DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return Failure, err.Error()
	}
	conn.Close()
	return Success, ""
}

// portOf is a port by its number or by the name that the container declares.
func portOf(port intstr.IntOrString, c *v1.Container) (int, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
	}
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("container %s has no port %q", c.Name, port.String())
	}
	return number, nil
}
