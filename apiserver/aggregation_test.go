package apiserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	discovery "k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	apiregistrationclient "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
	"k8s.io/utils/ptr"
)

const pondGroup = "pond.example.com"

// pond is a server of the kind Carp of this group, or of Kubernetes' group for metrics.
func pond(group string) http.Handler {
	kind := &metav1.GroupVersionKind{Group: group, Version: "v1beta1", Kind: "Carp"}
	kinds := discovery.NewResourceManager("apis")
	kinds.AddGroupVersion(group, apidiscoveryv2.APIVersionDiscovery{Version: "v1beta1", Resources: []apidiscoveryv2.APIResourceDiscovery{{
		Resource: "carps", SingularResource: "carp", ResponseKind: kind, Scope: apidiscoveryv2.ScopeNamespace, Verbs: []string{"get", "list"},
	}}})
	path, m := "/apis/"+group+"/v1beta1", http.NewServeMux()
	m.Handle("/apis", kinds)
	m.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, metav1.APIResourceList{GroupVersion: group + "/v1beta1", APIResources: []metav1.APIResource{
			{Name: "carps", SingularName: "carp", Kind: "Carp", Namespaced: true, Verbs: []string{"get", "list"}}}})
	})
	m.HandleFunc(path+"/namespaces/default/carps/koi", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s of %v", r.Header.Get("X-Remote-User"), r.Header.Values("X-Remote-Group"))
	})
	m.HandleFunc(path+"/namespaces/default/carps/koi/exec", echo)
	m.HandleFunc("/openapi/v2", func(w http.ResponseWriter, _ *http.Request) {
		name := "com.example.pond.v1beta1.Carp"
		writeJSON(w, map[string]any{
			"swagger": "2.0", "info": map[string]any{"title": "pond", "version": "1"},
			"paths": map[string]any{path + "/namespaces/{namespace}/carps": map[string]any{"get": map[string]any{
				"responses": map[string]any{"200": map[string]any{"description": "OK", "schema": map[string]any{"$ref": "#/definitions/" + name}}}}}},
			"definitions": map[string]any{name: map[string]any{
				"type": "object", "description": "A Carp swims.", "x-kubernetes-group-version-kind": []any{kind},
				"properties": map[string]any{"scales": map[string]any{"type": "integer", "description": "how many it has"}},
			}},
		})
	})
	return m
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// echo upgrades the connection and returns the line that it is sent.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	if line, err := stream.ReadString('\n'); err == nil {
		fmt.Fprintf(conn, "%s hears %s", r.Header.Get("X-Remote-User"), line)
	}
}

// newPond serves a pond behind the Service webhook. It believes the headers of who has a certificate as the ConfigMap says.
func newPond(t *testing.T, client kubernetes.Interface, group string) *hook {
	t.Helper()
	trusted, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(trusted.Data["requestheader-client-ca-file"])) {
		t.Fatalf("there is no CA in %v", trusted.Data)
	}
	h, served := &hook{}, pond(group)
	h.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.TLS.PeerCertificates[0].Subject.CommonName; !strings.Contains(trusted.Data["requestheader-allowed-names"], name) {
			http.Error(w, name, http.StatusUnauthorized)
			return
		}
		served.ServeHTTP(w, r)
	}), &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
	return h
}

// apiService leads a group to the Service webhook.
func (h *hook) apiService(group string) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1beta1." + group},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: group, Version: "v1beta1", GroupPriorityMinimum: 1000, VersionPriority: 15, CABundle: h.caBundle,
			Service: &apiregistrationv1.ServiceReference{Namespace: "default", Name: "webhook", Port: ptr.To[int32](443)},
		},
	}
}

func apiServiceClient(t *testing.T, config *rest.Config) apiregistrationclient.APIServiceInterface {
	t.Helper()
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.ApiregistrationV1().APIServices()
}

// awaitAvailable waits for the condition of an APIService: its status, and its reason.
func awaitAvailable(t *testing.T, in apiregistrationclient.APIServiceInterface, name, want string) {
	t.Helper()
	got := ""
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		s, err := in.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			got = err.Error()
			return false, nil
		}
		for _, c := range s.Status.Conditions {
			got = string(c.Status) + " " + c.Reason
		}
		return got == want, nil
	})
	if err != nil {
		t.Fatalf("%s is available: %s, want %s", name, got, want)
	}
}

// awaitBody waits until what is served at path has a text in it, or has it no longer.
func awaitBody(t *testing.T, client kubernetes.Interface, path, accept, text string, has bool) {
	t.Helper()
	var body []byte
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var err error
		body, err = client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(ctx)
		return err == nil && strings.Contains(string(body), text) == has, nil
	})
	if err != nil {
		t.Fatalf("at %s (%s) there is %q: %v, in %.2000s", path, accept, text, !has, body)
	}
}

const (
	asJSON       = "application/json"
	asAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
)

func TestOwnGroupsAreListedAsAPIServices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	services := apiServiceClient(t, s.adminConfig(t))
	names := func() (names []string) {
		list, err := services.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list.Items {
			names = append(names, s.Name)
		}
		return names
	}
	builtin := names()
	for _, name := range []string{"v1.", "v1.apps", "v2.autoscaling", "v1.apiextensions.k8s.io", "v1beta1.metrics.k8s.io"} {
		if !slices.Contains(builtin, name) {
			t.Errorf("there is no APIService %s in %v", name, builtin)
		}
		awaitAvailable(t, services, name, "True Local")
	}
	c := s.custom(t)
	crd := c.define()
	awaitAvailable(t, services, "v2.sea.example.com", "True Local")
	awaitBody(t, s.admin(t), "/apis", asAggregated, `"name":"sea.example.com"`, true)
	all, err := s.admin(t).Discovery().RESTClient().Get().AbsPath("/apis").SetHeader("Accept", asAggregated).DoRaw(t.Context())
	c.must(err)
	if before, _, _ := strings.Cut(string(all), `"name":"sea.example.com"`); !strings.Contains(before, `"name":"storage.k8s.io"`) {
		t.Error("the group of a user's kinds stands before a built-in one")
	}
	s.stop()
	s = serve(t, dir)
	services, c = apiServiceClient(t, s.adminConfig(t)), s.custom(t)
	awaitAvailable(t, services, "v1.sea.example.com", "True Local")
	c.must(c.definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), crd.Name, metav1.DeleteOptions{}))
	c.must(services.Delete(t.Context(), "v1.apps", metav1.DeleteOptions{}))
	c.await("the APIServices are the built-in ones", func(context.Context) (bool, error) { return slices.Equal(names(), builtin), nil })
}

func TestAnotherServersGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	client, services := s.admin(t), apiServiceClient(t, s.adminConfig(t))
	h := newPond(t, client, pondGroup)
	if _, err := services.Create(t.Context(), h.apiService(pondGroup), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAvailable(t, services, "v1beta1."+pondGroup, "False ServiceNotFound")
	carp := "/apis/" + pondGroup + "/v1beta1/namespaces/default/carps/koi"
	eventually(t, "requests learn that there is no Service", func() bool { // its condition may be written before they are led there
		return apierrors.IsServiceUnavailable(client.Discovery().RESTClient().Get().AbsPath(carp).Do(t.Context()).Error())
	})
	h.service(t, client)
	t.Run("availability", func(t *testing.T) { awaitAvailable(t, services, "v1beta1."+pondGroup, "True Passed") })
	t.Run("a request", func(t *testing.T) {
		awaitBody(t, client, carp, asJSON, "kubernetes-admin of [system:masters system:authenticated]", true)
	})
	t.Run("an upgrade", func(t *testing.T) { upgrade(t, s, carp+"/exec") })
	t.Run("discovery", func(t *testing.T) {
		awaitBody(t, client, "/apis", asAggregated, `"resource":"carps"`, true)
		awaitBody(t, client, "/apis", asJSON, pondGroup, true)
		awaitBody(t, client, "/apis", asJSON, `"apps"`, true)
		awaitBody(t, client, "/apis/"+pondGroup, asJSON, `"preferredVersion"`, true)
		awaitBody(t, client, "/apis/"+pondGroup+"/v1beta1", asJSON, `"carps"`, true)
		awaitBody(t, client, "/apis/apps/v1", asJSON, `"deployments"`, true)
	})
	t.Run("OpenAPI", func(t *testing.T) {
		awaitBody(t, client, "/openapi/v2", asJSON, "A Carp swims.", true)
		awaitBody(t, client, "/openapi/v2", asJSON, "io.k8s.api.apps.v1.Deployment", true)
		awaitBody(t, client, "/openapi/v3", asJSON, "apis/"+pondGroup+"/v1beta1", true)
		awaitBody(t, client, "/openapi/v3/apis/"+pondGroup+"/v1beta1", asJSON, "A Carp swims.", true)
		awaitBody(t, client, "/openapi/v3/apis/apps/v1", asJSON, "io.k8s.api.apps.v1.Deployment", true)
	})
	s.stop()
	s = serve(t, dir)
	client, services = s.admin(t), apiServiceClient(t, s.adminConfig(t))
	if err := client.Discovery().RESTClient().Get().AbsPath(carp).Do(t.Context()).Error(); err != nil {
		t.Errorf("when the server is ready after a restart: %v", err)
	}
	t.Run("no endpoints", func(t *testing.T) {
		if err := client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "webhook-1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		awaitAvailable(t, services, "v1beta1."+pondGroup, "False EndpointsNotFound")
	})
	t.Run("deletion", func(t *testing.T) {
		if err := services.Delete(t.Context(), "v1beta1."+pondGroup, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		for path, accept := range map[string]string{"/apis": asAggregated, "/openapi/v2": asJSON, "/openapi/v3": asJSON} {
			awaitBody(t, client, path, accept, "Carp", false)
		}
		if err := client.Discovery().RESTClient().Get().AbsPath(carp).Do(t.Context()).Error(); !apierrors.IsNotFound(err) {
			t.Errorf("after the deletion: %v", err)
		}
	})
}

// upgrade speaks to what is not HTTP any more.
func upgrade(t *testing.T, s *testServer, path string) {
	t.Helper()
	config, err := rest.TLSConfigFor(s.adminConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", s.addr.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", path, s.addr)
	from := bufio.NewReader(conn)
	response, err := http.ReadResponse(from, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the answer is %v, %v", response, err)
	}
	fmt.Fprintln(conn, "a stone")
	heard, err := io.ReadAll(from)
	if want := "kubernetes-admin hears a stone\n"; string(heard) != want {
		t.Errorf("what came back is %q (%v), want %q", heard, err, want)
	}
}

// As with the manifest of metrics-server, which is applied over the APIService that is there.
func TestOwnMetricsGiveWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	client, services := s.admin(t), apiServiceClient(t, s.adminConfig(t))
	const group, name = "metrics.k8s.io", "v1beta1.metrics.k8s.io"
	path := "/apis/" + group + "/v1beta1"
	awaitBody(t, client, path, asJSON, "NodeMetrics", true)
	h := newPond(t, client, group)
	h.service(t, client)
	theirs := h.apiService(group)
	theirs.TypeMeta = metav1.TypeMeta{APIVersion: "apiregistration.k8s.io/v1", Kind: "APIService"}
	data, _ := json.Marshal(theirs)
	if _, err := services.Patch(t.Context(), name, "application/merge-patch+json", data, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAvailable(t, services, name, "True Passed")
	awaitBody(t, client, path, asJSON, "carps", true)
	awaitBody(t, client, "/apis", asAggregated, "NodeMetrics", false)
	s.stop()
	s = serve(t, dir)
	client, services = s.admin(t), apiServiceClient(t, s.adminConfig(t))
	awaitBody(t, client, path, asJSON, "carps", true)
	if err := services.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAvailable(t, services, name, "True Local")
	awaitBody(t, client, path, asJSON, "NodeMetrics", true)
	awaitBody(t, client, "/apis", asAggregated, "NodeMetrics", true)
}
