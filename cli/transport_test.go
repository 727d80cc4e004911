package cli

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/spec3"
)

// answers is a server that answers requests, by method and path, each time with the next of the codes; the last stays.
type answers map[string][]int

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	key := r.Method + " " + r.URL.Path
	codes := a[key]
	if len(codes) > 1 {
		a[key] = codes[1:]
	}
	body := `{"spec":{"group":"example.com","names":{"plural":"widgets"},"versions":[{"name":"v1","served":true},{"name":"v0"}]}}`
	return &http.Response{StatusCode: codes[0], Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func roundTrip(t *testing.T, rt http.RoundTripper, method, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestADefinitionIsServedWhenItsRequestReturns(t *testing.T) {
	const objects = "GET /apis/example.com/v1/widgets"
	server := answers{"POST " + definitionsPath: {201}, objects: {404, 404, 200}}
	response := roundTrip(t, new(effects).wrap(server), http.MethodPost, definitionsPath)
	body, _ := io.ReadAll(response.Body)
	if len(server[objects]) != 1 || response.StatusCode != 201 || !strings.Contains(string(body), "widgets") {
		t.Errorf("the answer is %d %s, with %v left", response.StatusCode, body, server[objects])
	}
}

func TestWhatWentWithSomethingElseCountsAsDeleted(t *testing.T) {
	const widget, other, pod = "/apis/example.com/v1/namespaces/ns/widgets/w", "/apis/example.com/v1/others/w", "/api/v1/namespaces/gone/pods/p"
	server := answers{
		"DELETE " + definitionsPath + "/widgets.example.com": {200}, "DELETE " + namespacesPath + "gone": {200},
		"DELETE " + widget: {404}, "DELETE " + other: {404}, "DELETE " + pod: {404},
	}
	rt := new(effects).wrap(server)
	for _, step := range []struct {
		path string
		want int
	}{
		{widget, 404}, {pod, 404},
		{definitionsPath + "/widgets.example.com", 200}, {namespacesPath + "gone", 200},
		{widget, 200}, {pod, 200}, {other, 404},
	} {
		if got := roundTrip(t, rt, http.MethodDelete, step.path); got.StatusCode != step.want {
			t.Errorf("delete %s: %d, want %d", step.path, got.StatusCode, step.want)
		}
	}
}

// counted is a root that counts how often it is read.
type counted struct {
	openapi3.Root
	times int
}

func (c *counted) GVSpec(schema.GroupVersion) (*spec3.OpenAPI, error) {
	c.times++
	return &spec3.OpenAPI{}, nil
}

func TestAnAPIsDescriptionIsParsedOnce(t *testing.T) {
	root := &counted{}
	once := &parsedOnce{Root: root, specs: map[schema.GroupVersion]*spec3.OpenAPI{}}
	for range 3 {
		for _, version := range []string{"v1", "v2"} {
			if _, err := once.GVSpec(schema.GroupVersion{Version: version}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if root.times != 2 {
		t.Errorf("two descriptions were parsed %d times", root.times)
	}
}
