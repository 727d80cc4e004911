package apiserver

import (
	"fmt"
	"net/http"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes"
)

// Whoever connects as a user has this user's groups and rights, until the connection is released.
func TestConnectIsAsTheUser(t *testing.T) {
	s := serveRights(t, t.TempDir())
	config, release := s.Connect(&user.DefaultInfo{Name: "jane", Groups: []string{"people", user.AllAuthenticated}})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	self := must[*authenticationv1.SelfSubjectReview](t)(client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	if got := self.Status.UserInfo; got.Username != "jane" || got.Groups[0] != "people" {
		t.Errorf("the API says that it is %+v", got)
	}
	if _, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets of others: %v", err)
	}
	release()
	if _, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("after the release: %v", err)
	}
}

// A path beside the API's knows whose the request is. Everybody who is somebody may ask for a login to the dashboard.
func TestHandleKnowsTheUser(t *testing.T) {
	s := serveRights(t, t.TempDir())
	s.Handle(DashboardPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := genericapirequest.UserFrom(r.Context())
		fmt.Fprint(w, who.GetName())
	}))
	for _, name := range []string{"jane", "system:serviceaccount:default:default"} {
		client := s.as(t, name).Discovery().RESTClient()
		if text, err := client.Post().AbsPath(DashboardPath).DoRaw(t.Context()); err != nil || string(text) != name {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if _, err := client.Get().AbsPath(DashboardPath).DoRaw(t.Context()); !apierrors.IsForbidden(err) {
			t.Errorf("%s reads it: %v", name, err)
		}
	}
	nobody, _ := s.Connect(&user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}})
	client, err := kubernetes.NewForConfig(nobody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Discovery().RESTClient().Post().AbsPath(DashboardPath).DoRaw(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("nobody: %v", err)
	}
}
