package router

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// Reasons of events on Ingresses.
const (
	reasonRouted  = "Routed"         // where an Ingress is reached
	reasonProblem = "InvalidIngress" // what is wrong with it
)

// reportRetry is the pause after a write that failed.
const reportRetry = time.Second

// reporter tells through the API what is served: in the status of Ingresses, in events, and in the IngressClass.
type reporter struct {
	client   kubernetes.Interface
	gateways rest.Interface // of Gateway API; nil: it is not served
	watch    *watcher
	recorder record.EventRecorder // nil: no events
	log      *slog.Logger

	mu     sync.Mutex // guards latest
	latest state
	wake   chan struct{} // holds one token: that latest changed

	told map[types.UID]map[string]bool // the events of each Ingress; of the goroutine that reports
}

// state is what there is to tell.
type state struct {
	ports     Ports
	addresses []netip.Addr
	ingresses []*networkingv1.Ingress
	problems  map[types.UID][]string
	// statuses are those of objects of Gateway API, classless that their GatewayClass is missing.
	statuses  []statusWrite
	classless bool
}

func newReporter(client kubernetes.Interface, watch *watcher, recorder record.EventRecorder, log *slog.Logger) *reporter {
	return &reporter{client: client, watch: watch, recorder: recorder, log: log, wake: make(chan struct{}, 1), told: map[types.UID]map[string]bool{}}
}

// listening notes which ports are served at which addresses.
func (r *reporter) listening(ports Ports, addresses []netip.Addr) {
	r.mu.Lock()
	r.latest.ports, r.latest.addresses = ports, addresses
	r.mu.Unlock()
	r.notify()
}

// update notes which Ingresses are served, and what is wrong with them.
func (r *reporter) update(ingresses []*networkingv1.Ingress, problems map[types.UID][]string) {
	r.mu.Lock()
	r.latest.ingresses, r.latest.problems = ingresses, problems
	r.mu.Unlock()
	r.notify()
}

// updateGateways notes what the statuses of Gateway API's objects are to say.
func (r *reporter) updateGateways(statuses []statusWrite, classless bool) {
	r.mu.Lock()
	r.latest.statuses, r.latest.classless = statuses, classless
	r.mu.Unlock()
	r.notify()
}

func (r *reporter) notify() {
	select {
	case r.wake <- struct{}{}:
	default: // a token is there
	}
}

// run tells until ctx ends.
func (r *reporter) run(ctx context.Context) {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-retry.C:
		}
		if err := r.tell(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("cannot tell what became of Ingresses; retrying", "err", err)
			retry.Reset(reportRetry)
		}
	}
}

func (r *reporter) tell(ctx context.Context) error {
	r.mu.Lock()
	s := r.latest
	r.mu.Unlock()
	errs := []error{r.tellClass(ctx, s.ports)}
	told := map[types.UID]map[string]bool{}
	for _, ingress := range s.ingresses {
		told[ingress.UID] = map[string]bool{}
		r.tellEvents(s, ingress, told[ingress.UID])
		if s.ports != (Ports{}) {
			errs = append(errs, r.tellStatus(ctx, ingress, s.status()))
		}
	}
	r.told = told
	if s.classless {
		errs = append(errs, r.ensureGatewayClass(ctx))
	}
	errs = append(errs, r.tellGateways(ctx, s.statuses))
	return errors.Join(errs...)
}

// tellClass keeps the IngressClass, and the ports in its annotations.
func (r *reporter) tellClass(ctx context.Context, ports Ports) error {
	class, err := r.watch.classes.Get(ClassName)
	if apierrors.IsNotFound(err) {
		class, err = ensureClass(ctx, r.client)
	}
	if err != nil {
		return err
	}
	if PortsOf(class) == ports {
		return nil
	}
	annotations := map[string]any{HTTPPortAnnotation: nil, HTTPSPortAnnotation: nil}
	if ports != (Ports{}) {
		annotations[HTTPPortAnnotation] = strconv.Itoa(int(ports.HTTP))
		annotations[HTTPSPortAnnotation] = strconv.Itoa(int(ports.HTTPS))
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	if _, err := r.client.NetworkingV1().IngressClasses().Patch(ctx, ClassName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("IngressClass %s: %w", ClassName, err)
	}
	return nil
}

// status is that of every Ingress.
func (s state) status() (all []networkingv1.IngressLoadBalancerIngress) {
	for _, a := range s.addresses {
		if a.Is6() && a.IsLoopback() {
			continue // the other name of localhost
		}
		all = append(all, networkingv1.IngressLoadBalancerIngress{IP: a.String(), Ports: s.ports.status()})
	}
	return all
}

func (p Ports) status() []networkingv1.IngressPortStatus {
	return []networkingv1.IngressPortStatus{{Port: int32(p.HTTP), Protocol: corev1.ProtocolTCP}, {Port: int32(p.HTTPS), Protocol: corev1.ProtocolTCP}}
}

func (r *reporter) tellStatus(ctx context.Context, ingress *networkingv1.Ingress, want []networkingv1.IngressLoadBalancerIngress) error {
	if equality.Semantic.DeepEqual(ingress.Status.LoadBalancer.Ingress, want) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": ingress.UID}, // of this one, not of one that got its name since
		"status":   networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: want}},
	})
	if err != nil {
		return err
	}
	_, err = r.client.NetworkingV1().Ingresses(ingress.Namespace).Patch(ctx, ingress.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // those that are gone have no status
		return fmt.Errorf("status of Ingress %s/%s: %w", ingress.Namespace, ingress.Name, err)
	}
	return nil
}

// tellEvents says what has not been said of an Ingress, and notes in now all that holds.
func (r *reporter) tellEvents(s state, ingress *networkingv1.Ingress, now map[string]bool) {
	tell := func(kind, reason, text string) {
		now[text] = true
		if r.recorder != nil && !r.told[ingress.UID][text] {
			r.recorder.Event(ingress, kind, reason, text)
		}
	}
	for _, p := range s.problems[ingress.UID] {
		tell(corev1.EventTypeWarning, reasonProblem, p)
	}
	if s.ports != (Ports{}) {
		tell(corev1.EventTypeNormal, reasonRouted, "Reachable at "+strings.Join(urlsOf(ingress, s.ports), ", "))
	}
	if name := classOf(ingress); name != "" && name != ClassName {
		if _, err := r.watch.classes.Get(name); err != nil {
			tell(corev1.EventTypeNormal, reasonRouted, fmt.Sprintf("There is no IngressClass %s, so the class %s serves this Ingress", name, ClassName))
		}
	}
}

// urlsOf are where the hosts of an Ingress are reached; one without hosts at localhost.
func urlsOf(ingress *networkingv1.Ingress, ports Ports) (urls []string) {
	secured := map[string]bool{}
	for _, entry := range ingress.Spec.TLS {
		for _, host := range entry.Hosts {
			secured[host] = true
		}
	}
	hosts := []string{}
	for _, rule := range ingress.Spec.Rules {
		hosts = append(hosts, rule.Host)
	}
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, host := range hosts {
		scheme := "http"
		if secured[host] {
			scheme = "https"
		}
		url := ports.URL(scheme, cmp.Or(host, "localhost"))
		if !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	return urls
}
