package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kube-lite/kube-lite/portforward"
)

// forward is a port of this machine that leads to a port of a pod, or of a Service.
type forward struct {
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"` // pod or service
	Name      string `json:"name"`
	Port      int32  `json:"port"`
	Address   string `json:"address"` // 127.0.0.1:41233
}

// forwards are those of a session.
type forwards struct {
	client kubernetes.Interface
	config *rest.Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	open   sync.WaitGroup

	mu   sync.Mutex // guards what follows
	last int
	all  map[string]*listening
}

// listening is a forward, and how it ends.
type listening struct {
	forward
	listener net.Listener
	end      context.CancelFunc
}

func newForwards(config *rest.Config, log *slog.Logger) (*forwards, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	f := &forwards{client: client, config: config, log: log, all: map[string]*listening{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

// close ends all of them, and waits for their connections.
func (f *forwards) close() {
	f.cancel()
	f.open.Wait()
}

func (f *forwards) list() []forward {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []forward{}
	for _, l := range f.all {
		out = append(out, l.forward)
	}
	slices.SortFunc(out, func(a, b forward) int { return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID)) }) // as numbers
	return out
}

// start listens on a port that is free. What there is already is returned once more.
func (f *forwards) start(ctx context.Context, want forward) (forward, error) {
	if err := f.allowed(ctx, want); err != nil {
		return forward{}, err
	}
	if _, err := f.dialer(ctx, want); err != nil {
		return forward{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.all {
		if l.Namespace == want.Namespace && l.Kind == want.Kind && l.Name == want.Name && l.Port == want.Port {
			return l.forward, nil
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return forward{}, err
	}
	f.last++
	l := &listening{forward: want, listener: listener}
	l.ID, l.Address = strconv.Itoa(f.last), listener.Addr().String()
	var running context.Context
	running, l.end = context.WithCancel(f.ctx)
	f.all[l.ID] = l
	f.open.Go(func() { f.serve(running, l) })
	return l.forward, nil
}

// allowed asks for the right to forward, so that its lack is known before the first connection.
func (f *forwards) allowed(ctx context.Context, want forward) error {
	attributes := &authorizationv1.ResourceAttributes{Namespace: want.Namespace, Verb: "create", Resource: "pods", Subresource: "portforward"}
	if want.Kind == "pod" {
		attributes.Name = want.Name
	}
	review, err := f.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
		&authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if !review.Status.Allowed {
		return apierrors.NewForbidden(pods, want.Name, fmt.Errorf("you may not create pods/portforward in namespace %s", want.Namespace))
	}
	return nil
}

func (f *forwards) end(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[id]
	if l != nil {
		l.end()
	}
	return l != nil
}

func (f *forwards) serve(ctx context.Context, l *listening) {
	defer context.AfterFunc(ctx, func() { _ = l.listener.Close() })()
	defer func() {
		_ = l.listener.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.all, l.ID)
	}()
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		f.open.Go(func() {
			if err := f.connect(ctx, l.forward, conn); err != nil && ctx.Err() == nil {
				f.log.Debug("a forwarded connection failed", "to", l.Namespace+"/"+l.Name, "error", err)
			}
		})
	}
}

// connect joins a connection and one to the pod, until both directions have ended.
func (f *forwards) connect(ctx context.Context, to forward, conn net.Conn) error {
	defer conn.Close()
	dial, err := f.dialer(ctx, to)
	if err != nil {
		return err
	}
	pod, err := dial(ctx)
	if err != nil {
		return err
	}
	defer pod.Close()
	defer context.AfterFunc(ctx, func() { _, _ = conn.Close(), pod.Close() })()
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := io.Copy(pod, conn); err != nil { // the client is gone
			_ = pod.Close()
			return
		}
		if half, ok := pod.(*portforward.Conn); ok {
			_ = half.CloseWrite()
		}
	})
	_, err = io.Copy(conn, pod)
	_ = conn.Close()
	sending.Wait()
	return err
}

// dialer finds the pod: for a Service an endpoint that is ready now.
func (f *forwards) dialer(ctx context.Context, to forward) (func(context.Context) (net.Conn, error), error) {
	if to.Kind == "pod" {
		if _, err := f.client.CoreV1().Pods(to.Namespace).Get(ctx, to.Name, metav1.GetOptions{}); err != nil {
			return nil, err
		}
		return portforward.ToPod(f.client, f.config, to.Namespace, to.Name, to.Port), nil
	}
	s, err := f.client.CoreV1().Services(to.Namespace).Get(ctx, to.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, p := range s.Spec.Ports {
		if p.Port != to.Port {
			continue
		}
		found, err := f.client.DiscoveryV1().EndpointSlices(to.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + to.Name})
		if err != nil {
			return nil, err
		}
		pod, _, port := portforward.Endpoint(found.Items, p.Name)
		if pod == "" {
			return nil, notNow(to, "has no pod that is ready")
		}
		return portforward.ToPod(f.client, f.config, to.Namespace, pod, port), nil
	}
	return nil, notNow(to, fmt.Sprintf("has no port %d", to.Port))
}
