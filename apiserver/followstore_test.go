package apiserver

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/networking"
)

func TestEventsOfTheStoreAreConvertedOrEndTheWatch(t *testing.T) {
	version := networkingv1.SchemeGroupVersion
	address := &networking.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.96.0.1"}}
	e := inVersion(watch.Event{Type: watch.Added, Object: address}, version)
	if got, ok := e.Object.(*networkingv1.IPAddress); !ok || e.Type != watch.Added || got.Name != address.Name {
		t.Errorf("an IPAddress becomes %s %+v", e.Type, e.Object)
	}
	e = inVersion(watch.Event{Type: watch.Added, Object: &core.Pod{}}, version)
	if got, ok := e.Object.(*metav1.Status); !ok || e.Type != watch.Error || got.Reason != metav1.StatusReasonInternalError {
		t.Errorf("a Pod, which that group does not have, becomes %s %+v", e.Type, e.Object)
	}
	if again := inVersion(e, version); again != e {
		t.Errorf("an error becomes %+v", again)
	}
}
