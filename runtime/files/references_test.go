package files

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// mute is an API server that never answers.
type mute struct{}

func (mute) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestSourceOfAServerThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := kubernetes.NewForConfig(&rest.Config{Host: "http://api", Transport: mute{}})
		if err != nil {
			t.Fatal(err)
		}
		none := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
		r := &References{client: client, configMaps: corelisters.NewConfigMapLister(none), secrets: corelisters.NewSecretLister(none)}
		if _, err := r.ConfigMap(t.Context(), "ns", "cm"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a ConfigMap: %v", err)
		}
		if _, err := r.Secret(t.Context(), "ns", "s"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Secret: %v", err)
		}
	})
}
