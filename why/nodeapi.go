package why

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// What only a node of kube-lite answers. A kubelet answers 404, and then nothing is said about it.

// listener is a socket that waits for what comes from the network.
type listener struct {
	Protocol v1.Protocol `json:"protocol"`
	Address  netip.Addr  `json:"address"`
	Port     int32       `json:"port"`
}

func (s listener) String() string {
	text := fmt.Sprintf("%d/%s", s.Port, s.Protocol)
	if s.Address.IsLoopback() {
		text += " (on localhost only)"
	}
	return text
}

// listening are the sockets of a Pod; known tells whether its node said so.
func (l *look) listening(pod *v1.Pod) (found []listener, known bool) {
	if !l.nodeSays(pod.Spec.NodeName, fmt.Sprintf("listening/%s/%s", pod.Namespace, pod.Name), &found) {
		return nil, false
	}
	return found, true
}

// imagesOf are the names of the images of a node. Without its answer those of its status have to do, the largest ones.
func (l *look) imagesOf(name string) (images []string, complete bool) {
	var all []v1.ContainerImage
	complete = l.nodeSays(name, "images", &all)
	if !complete {
		if node, found := get(l, "node", name, l.client.CoreV1().Nodes()); found == present {
			all = node.Status.Images
		}
	}
	for _, i := range all {
		images = append(images, i.Names...)
	}
	return images, complete
}

// interception is what a node of kube-lite says of a Service whose traffic a command leads elsewhere.
type interception struct {
	Namespace string   `json:"namespace"`
	Service   string   `json:"service"`
	Port      int32    `json:"port"`
	To        string   `json:"to"`
	Headers   []string `json:"headers"`
}

// intercepted tells which ports of a Service lead elsewhere for now.
func (l *look) intercepted(s *v1.Service, node string) (out links) {
	var all []interception
	if !l.nodeSays(node, "intercepts", &all) {
		return nil
	}
	for _, i := range all {
		if i.Namespace != s.Namespace || i.Service != s.Name {
			continue
		}
		what := "new connections"
		if len(i.Headers) > 0 {
			what = "HTTP requests with " + list(i.Headers)
		}
		out = append(out, well(serviceObject(s), "is intercepted: %s to port %d go to %s while that takes them", what, i.Port, i.To))
	}
	return out
}

func (l *look) nodeSays(node, path string, into any) bool {
	if node == "" {
		return false
	}
	text, err := l.opts.Node(l.ctx, node, path)
	return err == nil && json.Unmarshal(text, into) == nil
}

// portsText lists what a Pod listens on.
func portsText(all []listener) string {
	if len(all) == 0 {
		return "nothing in the pod listens on any port"
	}
	var ports []string
	for _, s := range all {
		if text := s.String(); !slices.Contains(ports, text) {
			ports = append(ports, text)
		}
	}
	return "the pod listens on " + list(ports)
}

// openAt tells of a port whether something listens there, and whether others than the Pod itself reach it.
func openAt(all []listener, protocol v1.Protocol, port int32) (listens, reached bool) {
	for _, s := range all {
		if s.Port == port && s.Protocol == protocol {
			listens, reached = true, reached || !s.Address.IsLoopback()
		}
	}
	return listens, reached
}

// onlyPort is the port that a Pod listens on for others, if it is one.
func onlyPort(all []listener, protocol v1.Protocol) (port int32, ok bool) {
	for _, s := range all {
		if s.Protocol != protocol || s.Address.IsLoopback() || s.Port == port {
			continue
		}
		if ok {
			return 0, false
		}
		port, ok = s.Port, true
	}
	return port, ok
}
