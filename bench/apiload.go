package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// The load is the same number of requests for both servers, so that both have the same objects to keep.
	apiCreatesAlone = 1500
	apiCreates      = 6000
	apiGets         = 12000
	apiPatches      = 4000
	apiPods         = 1000
	apiLists        = 100

	// apiConnections are open at once where a row does not say otherwise, apiListers for lists.
	apiConnections = 32
	apiListers     = 4

	apiNamespace = "bench"
	// apiTextBytes is how much text is in each ConfigMap.
	apiTextBytes = 512
)

// apiLoad is the client of both servers: protobuf over HTTP/1.1, a connection for each worker. Answers are read and not
// decoded, so that the client takes little of the machine that it shares with the server.
type apiLoad struct {
	rest      rest.Interface
	transport *http.Transport
}

// apiStep measures one row.
type apiStep struct {
	row string
	run func(ctx context.Context) (float64, error)
}

// connectAPI connects to the core group.
func connectAPI(config *rest.Config) (*apiLoad, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the client must not be what is measured
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	// A TLS configuration of its own keeps the transport at HTTP/1.1.
	transport := &http.Transport{TLSClientConfig: tlsConfig, MaxIdleConnsPerHost: apiConnections, DisableCompression: true}
	wrapped, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: wrapped})
	if err != nil {
		return nil, err
	}
	return &apiLoad{client.CoreV1().RESTClient(), transport}, nil
}

// newAPILoad connects, and makes what the load needs: a namespace each for objects and for watches, with the account that
// Pods run as, which only a controller would make.
func newAPILoad(ctx context.Context, config *rest.Config) (*apiLoad, error) {
	l, err := connectAPI(config)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{apiNamespace, watchNamespace} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := l.rest.Post().Resource("namespaces").Body(namespace).DoRaw(ctx); err != nil {
			return nil, err
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = l.rest.Post().Resource("serviceaccounts").Namespace(apiNamespace).Body(account).DoRaw(ctx)
	if apierrors.IsAlreadyExists(err) { // the daemon's controller was faster
		err = nil
	}
	return l, err
}

func (l *apiLoad) close() { l.transport.CloseIdleConnections() }

func (l *apiLoad) steps() []apiStep {
	rated := func(row string, connections, count int, do func(context.Context, int) error) apiStep {
		return apiStep{row, func(ctx context.Context) (float64, error) { return rate(ctx, connections, count, do) }}
	}
	alone := func(ctx context.Context, n int) error { return l.create(ctx, apiNamespace, "alone", n) }
	many := func(ctx context.Context, n int) error { return l.create(ctx, apiNamespace, "many", n) }
	return []apiStep{
		rated("create", 1, apiCreatesAlone, alone),
		rated("creates", apiConnections, apiCreates, many),
		rated("gets", apiConnections, apiGets, l.get),
		rated("patches", apiConnections, apiPatches, l.patch),
		{"lists", l.listRate},
		{"watches", l.fanOut},
		{"kind", l.newKinds},
	}
}

// rate does something count times, by so many connections at once, and returns how often in a second.
func rate(ctx context.Context, connections, count int, do func(ctx context.Context, n int) error) (float64, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	began := time.Now()
	for range connections {
		group.Go(func() error {
			for n := int(next.Add(1)); n <= count; n = int(next.Add(1)) {
				if err := do(ctx, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(count) / time.Since(began).Seconds(), err
}

func (l *apiLoad) create(ctx context.Context, namespace, name string, n int) error {
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, n), Labels: map[string]string{"app": "bench"}},
		Data:       map[string]string{"text": strings.Repeat("x", apiTextBytes)},
	}
	_, err := l.rest.Post().Resource("configmaps").Namespace(namespace).Body(object).DoRaw(ctx)
	return err
}

func (l *apiLoad) get(ctx context.Context, n int) error {
	_, err := l.rest.Get().Resource("configmaps").Namespace(apiNamespace).Name(nth(n)).DoRaw(ctx)
	return err
}

// patch changes another object each time, as those do who do not wait for each other.
func (l *apiLoad) patch(ctx context.Context, n int) error {
	body := fmt.Appendf(nil, `{"data":{"patch":"%d"}}`, n)
	_, err := l.rest.Patch(types.MergePatchType).Resource("configmaps").Namespace(apiNamespace).Name(nth(n)).Body(body).DoRaw(ctx)
	return err
}

// nth is one of those that were created with many connections.
func nth(n int) string { return fmt.Sprintf("many-%d", 1+n%apiCreates) }

func (l *apiLoad) listRate(ctx context.Context) (float64, error) {
	if _, err := rate(ctx, apiConnections, apiPods, l.createPod); err != nil {
		return 0, err
	}
	return rate(ctx, apiListers, apiLists, func(ctx context.Context, _ int) error {
		text, err := l.rest.Get().Resource("pods").Namespace(apiNamespace).DoRaw(ctx)
		if last := fmt.Sprintf("pod-%d", apiPods); err == nil && !bytes.Contains(text, []byte(last)) {
			err = fmt.Errorf("a list of pods lacks %s", last)
		}
		return err
	})
}

// createPod makes a Pod that no scheduler binds.
func (l *apiLoad) createPod(ctx context.Context, n int) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", n), Labels: map[string]string{"app": "bench"}},
		Spec: corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{{
			Name: "main", Image: "bench/none", Env: []corev1.EnvVar{{Name: "NUMBER", Value: fmt.Sprint(n)}},
		}}},
	}
	_, err := l.rest.Post().Resource("pods").Namespace(apiNamespace).Body(pod).DoRaw(ctx)
	return err
}
