package verdict

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-lite/kube-lite/portforward"
)

// route is a way to the target of a check.
type route struct {
	port string // in the request's URL; "" leaves it out
	dial func(ctx context.Context) (net.Conn, error)
}

func direct(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", address) }
}

// reach finds the way. What has an address is dialed as it stands; a Service comes before the host of an Ingress.
func (c *Cluster) reach(ctx context.Context, t target) (route, error) {
	if t.local() {
		n, ok := t.number()
		if !ok {
			return route{}, fmt.Errorf("the port %q of an address must be a number", t.port)
		}
		return route{t.port, direct(address(t.host, n))}, nil
	}
	kind, namespace, name := t.inCluster(c.Namespace)
	switch kind {
	case "svc":
		s, err := c.Client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return c.toService(ctx, t, s)
		}
		if !apierrors.IsNotFound(err) {
			return route{}, fmt.Errorf("service %s: %w", name, err)
		}
	case "pod":
		p, err := c.Client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return route{}, fmt.Errorf("pod %s: %w", name, err)
		}
		return c.toPod(t, p)
	}
	way, found, err := c.toIngress(ctx, t)
	if err != nil || found {
		return way, err
	}
	if kind == "svc" {
		return route{}, fmt.Errorf("there is no Service %s in namespace %s, and no Ingress of the host %s", name, namespace, t.host)
	}
	return route{}, fmt.Errorf("no Ingress has the host %s", t.host)
}

// toService goes to the Service's own address where that leads there, else to one of its endpoints that are ready.
func (c *Cluster) toService(ctx context.Context, t target, s *corev1.Service) (route, error) {
	port, err := servicePort(t, s)
	if err != nil {
		return route{}, err
	}
	inURL := t.port
	if inURL != "" {
		inURL = fmt.Sprint(port.Port)
	}
	if c.Near && s.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.ClusterIP != "" {
		return route{inURL, direct(address(s.Spec.ClusterIP, port.Port))}, nil
	}
	endpoints, err := c.slicesOf(ctx, s.Namespace, s.Name)
	if err != nil {
		return route{}, err
	}
	pod, ip, n := portforward.Endpoint(endpoints, port.Name)
	switch {
	case ip == "":
		return route{}, fmt.Errorf("service %s has no endpoint that is ready", s.Name)
	case c.Near || pod == "":
		return route{inURL, direct(address(ip, n))}, nil
	}
	return route{inURL, portforward.ToPod(c.Client, c.REST, s.Namespace, pod, n)}, nil
}

func (c *Cluster) slicesOf(ctx context.Context, namespace, service string) ([]discoveryv1.EndpointSlice, error) {
	selector := discoveryv1.LabelServiceName + "=" + service
	list, err := c.Client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list EndpointSlices of service %s: %w", service, err)
	}
	return list.Items, nil
}

// servicePort finds a port by its number or its name. A Service with one port has no need of either.
func servicePort(t target, s *corev1.Service) (*corev1.ServicePort, error) {
	want, isNumber := t.number()
	var have []string
	for n := range s.Spec.Ports {
		p := &s.Spec.Ports[n]
		if isNumber && p.Port == want || !isNumber && p.Name == t.port {
			return p, nil
		}
		have = append(have, strings.TrimSpace(fmt.Sprintf("%d %s", p.Port, p.Name)))
	}
	if t.port == "" && len(s.Spec.Ports) == 1 {
		return &s.Spec.Ports[0], nil
	}
	asked := t.port
	if asked == "" {
		asked = fmt.Sprint(want)
	}
	return nil, fmt.Errorf("service %s has no port %s; it has %s", s.Name, asked, strings.Join(have, ", "))
}

func (c *Cluster) toPod(t target, p *corev1.Pod) (route, error) {
	port, ok := t.number()
	if !ok {
		for _, container := range p.Spec.Containers {
			for _, declared := range container.Ports {
				if declared.Name == t.port {
					port, ok = declared.ContainerPort, true
				}
			}
		}
	}
	inURL := t.port
	if inURL != "" {
		inURL = fmt.Sprint(port)
	}
	switch {
	case !ok:
		return route{}, fmt.Errorf("pod %s has no port named %s", p.Name, t.port)
	case p.Status.PodIP == "":
		return route{}, fmt.Errorf("pod %s has no address yet", p.Name)
	case c.Near:
		return route{inURL, direct(address(p.Status.PodIP, port))}, nil
	}
	return route{inURL, portforward.ToPod(c.Client, c.REST, p.Namespace, p.Name, port)}, nil
}

// toIngress goes where the status of an Ingress says that its hosts are served.
func (c *Cluster) toIngress(ctx context.Context, t target) (way route, found bool, err error) {
	all, err := c.Client.NetworkingV1().Ingresses("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return way, false, fmt.Errorf("list Ingresses: %w", err)
	}
	for n := range all.Items {
		i := &all.Items[n]
		if !slices.ContainsFunc(i.Spec.Rules, func(r networkingv1.IngressRule) bool { return hostMatches(r.Host, t.host) }) {
			continue
		}
		at, port, served := ingressAddress(i, t)
		if !served {
			err = fmt.Errorf("ingress %s of the host %s has no address yet", i.Name, t.host)
			continue
		}
		return route{t.port, direct(address(at, port))}, true, nil
	}
	return way, false, err
}

// hostMatches: https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards
func hostMatches(rule, host string) bool {
	if suffix, wild := strings.CutPrefix(rule, "*"); wild {
		label, ok := strings.CutSuffix(host, suffix)
		return ok && label != "" && !strings.Contains(label, ".")
	}
	return rule == host
}

// ingressAddress is where an Ingress is served. Where the status has a port for each scheme, HTTP's comes first.
func ingressAddress(i *networkingv1.Ingress, t target) (host string, port int32, served bool) {
	port, ok := t.number()
	if !ok || len(i.Status.LoadBalancer.Ingress) == 0 {
		return "", 0, false
	}
	at := i.Status.LoadBalancer.Ingress[0]
	if t.port == "" && len(at.Ports) == 2 {
		port = at.Ports[0].Port
		if t.scheme == "https" {
			port = at.Ports[1].Port
		}
	}
	if host = at.IP; host == "" {
		host = at.Hostname
	}
	return host, port, host != ""
}

// requestLimit bounds one request; a check tries again until its deadline.
const requestLimit = 10 * time.Second

// client makes requests that go one way, each over a connection of its own.
func (c *Cluster) client(way route, insecure bool) *http.Client {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without certificates
	}
	if c.Authorities != nil {
		roots.AppendCertsFromPEM(c.Authorities())
	}
	return &http.Client{
		Timeout: requestLimit,
		// A redirect is an answer: its status can be checked, and it may lead out of the cluster.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return way.dial(ctx) },
			TLSClientConfig:   &tls.Config{RootCAs: roots, InsecureSkipVerify: insecure}, // as the check says
			DisableKeepAlives: true,
		},
	}
}
