package apiserver

import (
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration"

	"github.com/kube-lite/kube-lite/store"
)

func TestAnOwnAPIServiceWaitsUntilTheAggregatorHasLetGo(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "kube-lite.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	a := newAPIServices(db)
	own := map[string]*apiregistration.APIService{}
	gv := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}
	addOwn(own, gv, builtinPriority(gv), managedBuiltin)
	for _, served := range []bool{true, false} {
		late, err := a.register(t.Context(), own, func(asked schema.GroupVersion) bool { return asked == gv && served })
		if err != nil || (late == 1) != served {
			t.Errorf("while the aggregator serves it (%t): %d late, %v", served, late, err)
		}
		_, err = a.registry.Get(t.Context(), "v1beta1.metrics.k8s.io", &metav1.GetOptions{})
		if apierrors.IsNotFound(err) != served {
			t.Errorf("while the aggregator serves it (%t): %v", served, err)
		}
	}
}
