package why

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probeKind is the word that events have for a probe.
type probeKind string

const (
	startup   probeKind = "startup"
	readiness probeKind = "readiness"
	liveness  probeKind = "liveness"
)

func (k probeKind) of(c *v1.Container) *v1.Probe {
	switch k {
	case startup:
		return c.StartupProbe
	case liveness:
		return c.LivenessProbe
	}
	return c.ReadinessProbe
}

// effect is what comes of a probe that fails.
var effect = map[probeKind]string{
	startup:   "counts as not started",
	readiness: "is not ready",
	liveness:  "is restarted",
}

// probe explains a container whose probe fails, by the last answer that its node agent told and the ports of the Pod.
func (l *look) probe(pod *v1.Pod, c *v1.Container, s v1.ContainerStatus, kind probeKind) Link {
	at, p := podObject(pod), kind.of(c)
	if p == nil { // it was taken out since
		return waiting(at, "container %s %s", c.Name, effect[kind])
	}
	question := probeText(c, p)
	answer, event := l.lastAnswer(pod, c.Name, kind)
	if answer == "" {
		text := fmt.Sprintf("container %s %s: its %s probe, %s, has not succeeded yet", c.Name, effect[kind], kind, question)
		if first := p.InitialDelaySeconds; first > 0 {
			text += fmt.Sprintf("; it is asked %d s after the start for the first time", first)
		}
		return waiting(at, "%s", text)
	}
	out := broken(at, "container %s %s: its %s probe, %s, %s", c.Name, effect[kind], kind, question, answerText(answer, p)).
		seen(l.eventLine(event)).mended(l.edited(pod, fmt.Sprintf("correct %sProbe of %s, or what answers it", kind, c.Name)))
	port, ok := probePort(c, p)
	if !ok || s.State.Running == nil {
		return out
	}
	open, known := l.listening(pod)
	if !known {
		return out
	}
	listens, reached := openAt(open, v1.ProtocolTCP, port)
	only, one := onlyPort(open, v1.ProtocolTCP)
	switch {
	case listens && !reached:
		out.Sentence = fmt.Sprintf("container %s %s: its %s probe, %s, is refused: port %d is open on localhost only, and probes come from outside", c.Name, effect[kind], kind, question, port)
		out = out.mended(l.edited(pod, "have the program listen on 0.0.0.0"))
	case !listens:
		out.Sentence = fmt.Sprintf("container %s %s: its %s probe, %s, is refused: nothing listens on port %d, %s", c.Name, effect[kind], kind, question, port, portsText(open))
		if one {
			out = out.mended(l.replaced(pod, fmt.Sprintf("%s/%sProbe/%s/port", containerPointer(pod, c.Name), kind, handlerName(p)), only))
		}
	}
	return out.seen(portsText(open))
}

// lastAnswer is what the newest event of a probe says.
func (l *look) lastAnswer(pod *v1.Pod, container string, kind probeKind) (answer string, event v1.Event) {
	for _, e := range l.events(pod.Namespace, pod.UID, "Unhealthy") {
		if e.InvolvedObject.FieldPath != fieldPath(pod, container) {
			continue
		}
		for _, lead := range []string{" probe failed: ", " probe errored and resulted in unknown state: ", " probe errored: "} {
			if rest, ok := strings.CutPrefix(strings.ToLower(e.Message), string(kind)+lead); ok {
				return orElse(strings.TrimSpace(e.Message[len(e.Message)-len(rest):]), "no output"), e
			}
		}
	}
	return "", event
}

// probeText is what a probe asks.
func probeText(c *v1.Container, p *v1.Probe) string {
	switch {
	case p.HTTPGet != nil:
		return fmt.Sprintf("GET %s:%s%s", strings.ToLower(orElse(string(p.HTTPGet.Scheme), "HTTP"))+"://"+orElse(p.HTTPGet.Host, "POD"), portText(c, p.HTTPGet.Port), p.HTTPGet.Path)
	case p.TCPSocket != nil:
		return "a connection to port " + portText(c, p.TCPSocket.Port)
	case p.GRPC != nil:
		return fmt.Sprintf("the gRPC health service at port %d", p.GRPC.Port)
	case p.Exec != nil:
		return "the command " + quote(strings.Join(p.Exec.Command, " "))
	}
	return "which asks nothing"
}

func portText(c *v1.Container, port intstr.IntOrString) string {
	if port.Type == intstr.Int {
		return port.String()
	}
	if number, ok := namedPort(c, port.StrVal); ok {
		return strconv.Itoa(int(number))
	}
	return port.StrVal
}

func namedPort(c *v1.Container, name string) (int32, bool) {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort, true
		}
	}
	return 0, false
}

func handlerName(p *v1.Probe) string {
	switch {
	case p.HTTPGet != nil:
		return "httpGet"
	case p.GRPC != nil:
		return "grpc"
	}
	return "tcpSocket"
}

// probePort is where a probe goes, unless it runs a command or asks another host.
func probePort(c *v1.Container, p *v1.Probe) (int32, bool) {
	var port intstr.IntOrString
	switch {
	case p.HTTPGet != nil && p.HTTPGet.Host == "":
		port = p.HTTPGet.Port
	case p.TCPSocket != nil && p.TCPSocket.Host == "":
		port = p.TCPSocket.Port
	case p.GRPC != nil:
		return p.GRPC.Port, true
	default:
		return 0, false
	}
	if port.Type == intstr.Int {
		return port.IntVal, true
	}
	return namedPort(c, port.StrVal)
}

var statusCode = regexp.MustCompile(`statuscode: (\d+)`)

// answerText puts the answer to a probe into words.
func answerText(answer string, p *v1.Probe) string {
	low := strings.ToLower(answer)
	if m := statusCode.FindStringSubmatch(answer); m != nil {
		code, _ := strconv.Atoi(m[1])
		return strings.TrimSpace(fmt.Sprintf("is answered with %d %s", code, http.StatusText(code)))
	}
	timeout := max(time.Duration(p.TimeoutSeconds), 1) * time.Second
	switch {
	case strings.Contains(low, "connection refused"):
		return "is refused: nothing listens there"
	case strings.Contains(low, "deadline exceeded") || strings.Contains(low, "timed out") || strings.Contains(low, "timeout"):
		return fmt.Sprintf("has no answer within its timeoutSeconds, %v", timeout)
	case strings.Contains(low, "no route to host"):
		return "does not reach the pod: no route to host"
	case strings.Contains(low, "http response to https client"):
		return "asks for HTTPS and is answered with HTTP"
	case p.Exec != nil && strings.Contains(low, "exec failed") && (strings.Contains(low, "not found") || strings.Contains(low, "no such file")):
		return "cannot be run: the image has no such program"
	case p.Exec != nil:
		return "fails: " + firstLine(answer)
	}
	return "fails: " + firstLine(answer)
}
