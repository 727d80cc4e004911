package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-lite/kube-lite/manifest"
)

// serveKinds has the rig's API know Deployments and Namespaces.
func (r *rig) serveKinds() {
	serve := func(path string, what any) {
		r.api.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, what) })
	}
	version := metav1.GroupVersionForDiscovery{GroupVersion: "apps/v1", Version: "v1"}
	serve("/api", metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	serve("/apis", metav1.APIGroupList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"},
		Groups:   []metav1.APIGroup{{Name: "apps", Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}},
	})
	serve("/openapi/v3", map[string]any{"paths": map[string]any{"apis/apps/v1": map[string]string{"serverRelativeURL": "/openapi/v3/apis/apps/v1"}}})
	serve("/openapi/v3/apis/apps/v1", json.RawMessage(schemas))
	list := metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}
	serve("/api/v1", metav1.APIResourceList{TypeMeta: list, GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "namespaces", Kind: "Namespace"}}})
	serve("/apis/apps/v1", metav1.APIResourceList{TypeMeta: list, GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "deployments", Kind: "Deployment", Namespaced: true}}})
}

// schemas describe as much of a Deployment as the tests change.
const schemas = `{"openapi": "3.0.0", "info": {"title": "rig", "version": "1"}, "paths": {}, "components": {"schemas": {
	"Deployment": {
		"type": "object", "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
		"properties": {
			"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"allOf": [{"$ref": "#/components/schemas/Meta"}]},
			"spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}]}}},
	"Meta": {"type": "object", "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}, "resourceVersion": {"type": "string"},
		"generation": {"type": "integer"}}},
	"Spec": {"type": "object", "properties": {"replicas": {"type": "integer"}, "paused": {"type": "boolean"},
		"selector": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "template": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
		"volumes": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"allOf": [{"$ref": "#/components/schemas/Volume"}]}}}},
	"Volume": {"type": "object", "properties": {"name": {"type": "string"}, "path": {"type": "string"}, "mode": {"type": "integer"}}}
}}}`

const deploymentPath = "/apis/apps/v1/namespaces/shop/deployments/web"

const deploymentYAML = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: web:2
`

// stored is what the API has of it.
const stored = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "generation": 4,
	"resourceVersion": "7", "managedFields": [{"manager": "kubectl"}]}, "spec": {"replicas": %d}}`

func editBody(t *testing.T, e edit) string {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// What is wrong with a text is told by line and column, before anything is sent.
func TestEditChecksTheText(t *testing.T) {
	r := newRig(t)
	r.api.HandleFunc("/", func(_ http.ResponseWriter, req *http.Request) { t.Errorf("the API was asked for %s", req.URL) })
	jane := r.login(t, "jane")
	for _, f := range []struct {
		yaml         string
		line, column int
		says         string
	}{
		{strings.Replace(deploymentYAML, "replicas", "replcas", 1), 7, 3, `(did you mean "replicas"?)`},
		{strings.Replace(deploymentYAML, "replicas: 3", "replicas: many", 1), 7, 13, "spec.replicas"},
		{strings.Replace(deploymentYAML, "  namespace: shop", "\tnamespace: shop", 1), 5, 0, ""},
		{deploymentYAML + "---\n" + deploymentYAML, 18, 1, "one at a time"},
		{"# nothing\n", 0, 0, "nothing"},
		{"apiVersion: apps/v1\nkind: Deployment\nmetadata: {}\n", 3, 11, "name"},
	} {
		var got refusal
		jane.ask(t, http.MethodPost, "/objects", editBody(t, edit{YAML: f.yaml, Mode: modeApply}), http.StatusUnprocessableEntity, &got)
		if len(got.Problems) == 0 {
			t.Errorf("%s: no problem in %+v", f.says, got)
			continue
		}
		p := got.Problems[0]
		if p.Line != f.line || f.column > 0 && p.Column != f.column || !strings.Contains(p.Message, f.says) {
			t.Errorf("the first problem is %+v, want %d:%d %q", p, f.line, f.column, f.says)
		}
	}
	jane.ask(t, http.MethodPost, "/objects", `{"mode": "patch", "yaml": ""}`, http.StatusBadRequest, nil)
}

// Each mode is one request of the API's, which checks all fields; a dry run says so.
func TestEditModes(t *testing.T) {
	r := newRig(t)
	r.serveKinds()
	var asked []string
	var sent string
	r.api.HandleFunc("GET "+deploymentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, stored, 2)
	})
	change := func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		sent = string(text)
		asked = append(asked, req.Method+" "+req.URL.Path+" "+req.Header.Get("Content-Type")+" "+req.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, stored, 3)
	}
	r.api.HandleFunc("PATCH "+deploymentPath, change)
	r.api.HandleFunc("PUT "+deploymentPath, change)
	r.api.HandleFunc("POST /apis/apps/v1/namespaces/shop/deployments", change)
	jane := r.login(t, "jane")
	nameless := strings.Replace(deploymentYAML, "  namespace: shop\n", "", 1)
	for _, e := range []edit{
		{Mode: modeApply, DryRun: true, YAML: deploymentYAML}, {Mode: modeApply, Force: true, YAML: deploymentYAML},
		{Mode: modeReplace, YAML: deploymentYAML}, {Mode: modeCreate, DryRun: true, YAML: nameless, Namespace: "shop"},
	} {
		var got edited
		jane.ask(t, http.MethodPost, "/objects", editBody(t, e), http.StatusOK, &got)
		if got.Path != deploymentPath || !strings.Contains(got.YAML, "replicas: 3") || strings.Contains(got.YAML, "managedFields") || strings.Contains(got.YAML, "generation") {
			t.Errorf("%s: %+v", e.Mode, got)
		}
		if before := strings.Contains(got.Before, "replicas: 2"); before != (e.Mode != modeCreate) {
			t.Errorf("%s: before it was %q", e.Mode, got.Before)
		}
		if !strings.Contains(sent, `"replicas":3`) {
			t.Errorf("%s sent %s", e.Mode, sent)
		}
	}
	want := []string{
		"PATCH " + deploymentPath + " application/apply-patch+yaml dryRun=All&fieldManager=kube-lite-dashboard&fieldValidation=Strict&force=false",
		"PATCH " + deploymentPath + " application/apply-patch+yaml fieldManager=kube-lite-dashboard&fieldValidation=Strict&force=true",
		"PUT " + deploymentPath + " application/json fieldManager=kube-lite-dashboard&fieldValidation=Strict",
		"POST /apis/apps/v1/namespaces/shop/deployments application/json dryRun=All&fieldManager=kube-lite-dashboard&fieldValidation=Strict",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked was\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

// What the API finds wrong is led back to the lines of the text, and other managers' fields are told apart.
func TestEditLeadsTheAPIsWordsToLines(t *testing.T) {
	causes := func(all ...metav1.StatusCause) *metav1.StatusDetails { return &metav1.StatusDetails{Causes: all} }
	for _, f := range []struct {
		name   string
		status metav1.Status
		want   refusal
	}{
		{
			"a value", metav1.Status{Code: 422, Message: "invalid", Details: causes(
				metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.template.spec.containers[0].image", Message: "Invalid value: bad"})},
			refusal{"invalid", []problem{{16, 16, "spec.template.spec.containers[0].image: Invalid value: bad"}}, []conflict{}},
		},
		{
			"a field", metav1.Status{Code: 400, Message: `strict decoding error: unknown field "spec.template.spec.foo"`},
			refusal{`strict decoding error: unknown field "spec.template.spec.foo"`, []problem{{14, 7, "spec.template.spec.foo: unknown field"}}, []conflict{}},
		},
		{
			"another manager", metav1.Status{Code: 409, Message: "conflicts", Details: causes(
				metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.replicas", Message: `conflict with "autoscaler" using apps/v1`})},
			refusal{"conflicts", []problem{}, []conflict{{"autoscaler", ".spec.replicas", `conflict with "autoscaler" using apps/v1`}}},
		},
		{
			"another change", metav1.Status{Code: 409, Message: "the object has been modified"},
			refusal{"the object has been modified", []problem{{0, 0, "the object has been modified"}}, []conflict{}},
		},
	} {
		r := newRig(t)
		r.serveKinds()
		r.api.HandleFunc("GET "+deploymentPath, func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusNotFound, "not found") })
		r.api.HandleFunc("PATCH "+deploymentPath, func(w http.ResponseWriter, _ *http.Request) {
			f.status.TypeMeta, f.status.Status = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, metav1.StatusFailure
			answer(w, int(f.status.Code), f.status)
		})
		var got refusal
		r.login(t, "jane").ask(t, http.MethodPost, "/objects", editBody(t, edit{YAML: deploymentYAML, Mode: modeApply}), http.StatusUnprocessableEntity, &got)
		if fmt.Sprint(got) != fmt.Sprint(f.want) {
			t.Errorf("%s: %+v, want %+v", f.name, got, f.want)
		}
	}
}

// A kind that the API does not have is one sentence.
func TestEditOfAnUnknownKind(t *testing.T) {
	r := newRig(t)
	r.serveKinds()
	var got refusal
	r.login(t, "jane").ask(t, http.MethodPost, "/objects", editBody(t, edit{Mode: modeCreate, YAML: "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n"}),
		http.StatusUnprocessableEntity, &got)
	if got.Message != "the API has no kind Widget in example.com/v1" {
		t.Errorf("it says %+v", got)
	}
}

// Of a text only what was changed is applied, and what earlier edits have set; an item of a list comes with its key.
func TestEditAppliesWhatWasChanged(t *testing.T) {
	const before = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7", "managedFields": [
		{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:selector": {}}}},
		{"manager": "kube-lite-dashboard", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:paused": {}, "f:replicas": {}}}}]},
		"spec": {"replicas": 2, "paused": true, "selector": {"matchLabels": {"app": "web"}},
			"volumes": [{"name": "a", "path": "/a", "mode": 1}, {"name": "b", "path": "/b", "mode": 2}]}}`
	r := newRig(t)
	r.serveKinds()
	var sent string
	r.api.HandleFunc("GET "+deploymentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, before)
	})
	r.api.HandleFunc("PATCH "+deploymentPath, func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		sent = strings.TrimSpace(string(text))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, before)
	})
	jane := r.login(t, "jane")
	const meta = `"metadata":{"name":"web","namespace":"shop","resourceVersion":"7"}`
	for _, f := range []struct{ name, spec, want string }{
		{"nothing", `{replicas: 2, paused: true, selector: {matchLabels: {app: web}}, volumes: [{name: a, path: /a, mode: 1}, {name: b, path: /b, mode: 2}]}`, `{"paused":true,"replicas":2}`},
		{"a field of ours goes", `{replicas: 2, selector: {matchLabels: {app: web}}, volumes: [{name: a, path: /a, mode: 1}, {name: b, path: /b, mode: 2}]}`, `{"replicas":2}`},
		{"an item", `{replicas: 2, paused: true, selector: {matchLabels: {app: web}}, volumes: [{name: a, path: /a, mode: 1}, {name: b, path: /c, mode: 2}]}`,
			`{"paused":true,"replicas":2,"volumes":[{"name":"b","path":"/c"}]}`},
		{"a field of others", `{replicas: 2, paused: true, selector: {matchLabels: {app: shop}}, volumes: [{name: a, path: /a, mode: 1}, {name: b, path: /b, mode: 2}]}`,
			`{"paused":true,"replicas":2,"selector":{"matchLabels":{"app":"shop"}}}`},
	} {
		text := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop, resourceVersion: '7'}\nspec: " + f.spec + "\n"
		s := r.sessions[digestOf(jane.token)]
		doc, _ := manifest.Parse("", []byte(text)) // without its check: volumes are none of a real Deployment's spec
		if _, err := s.edit(t.Context(), edit{YAML: text, Mode: modeApply}, doc[0]); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if want := `{"apiVersion":"apps/v1","kind":"Deployment",` + meta + `,"spec":` + f.want + "}"; sent != want {
			t.Errorf("%s: sent was\n%s, want\n%s", f.name, sent, want)
		}
	}
}
