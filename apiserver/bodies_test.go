package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	cbor "k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"sigs.k8s.io/yaml"
)

// bodies sends bodies to every kind that a server serves.
type bodies struct {
	client   *http.Client
	examples map[schema.GroupVersionKind]map[string]any
	targets  []target
}

// target is one request that takes a body.
type target struct {
	method, path string
	media        string // of a patch; otherwise the body's own
	kind         schema.GroupVersionKind
	item         string // the path of the object that the request may change
}

func (t target) String() string { return t.method + " " + t.path + " " + t.media }

// The media types of whole objects, and of patches.
var (
	objectTypes = []string{"application/json", "application/yaml", runtime.ContentTypeProtobuf, runtime.ContentTypeCBOR}
	patchTypes  = []string{
		"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
		"application/apply-patch+yaml", "application/apply-patch+cbor",
	}
)

// bodies finds the targets by discovery, custom kinds among them, and makes an example of each kind.
func (s *testServer) bodies(t testing.TB) *bodies {
	t.Helper()
	client, err := rest.HTTPClientFor(s.loopback)
	if err != nil {
		t.Fatal(err)
	}
	client.Timeout = time.Minute
	b := &bodies{client: client, examples: examples(t)}
	s.custom(t).define()
	_, lists, err := s.Client().Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		gv, _ := schema.ParseGroupVersion(list.GroupVersion)
		for _, r := range list.APIResources {
			b.add(gv, r)
		}
	}
	slices.SortFunc(b.targets, func(x, y target) int { return strings.Compare(x.String(), y.String()) })
	for range 2 { // a Pod needs its ServiceAccount first
		for _, t := range b.targets {
			if t.method == http.MethodPost && t.item != "" {
				b.make(t)
			}
		}
	}
	return b
}

func examples(t testing.TB) map[schema.GroupVersionKind]map[string]any {
	text, err := os.ReadFile("testdata/examples.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[schema.GroupVersionKind]map[string]any{}
	for _, part := range strings.Split(string(text), "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(part), &obj.Object); err != nil {
			t.Fatal(err)
		}
		all[obj.GroupVersionKind()] = obj.Object
	}
	return all
}

// streams are subresources whose bodies are not the server's: they are passed on.
var streams = []string{"proxy", "exec", "attach", "portforward", "log"}

// add adds the targets of a resource or subresource.
func (b *bodies) add(gv schema.GroupVersion, r metav1.APIResource) {
	resource, subresource, _ := strings.Cut(r.Name, "/")
	if slices.Contains(streams, subresource) {
		return
	}
	kind := schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
	if r.Version == "" {
		kind = gv.WithKind(r.Kind)
	}
	collection := "/apis/" + gv.String()
	if gv.Group == "" {
		collection = "/api/" + gv.Version
	}
	if r.Namespaced {
		collection += "/namespaces/default"
	}
	collection += "/" + resource
	path := collection + "/" + nameOf(b.examples[kind])
	item := path
	if subresource != "" {
		path = collection + "/fuzz/" + subresource
		collection, item = path, collection+"/fuzz"
	}
	if !slices.Contains(r.Verbs, "get") && subresource == "" {
		item = "" // nothing is stored
	}
	for _, verb := range r.Verbs {
		switch verb {
		case "create":
			b.targets = append(b.targets, target{http.MethodPost, collection, "", kind, item})
		case "update":
			b.targets = append(b.targets, target{http.MethodPut, path, "", kind, item})
		case "patch":
			for _, media := range patchTypes {
				b.targets = append(b.targets, target{http.MethodPatch, path, media, kind, item})
			}
		case "delete":
			b.targets = append(b.targets, target{http.MethodDelete, path, "", deleteOptions, item})
		case "deletecollection":
			b.targets = append(b.targets, target{http.MethodDelete, collection, "", deleteOptions, ""})
		}
	}
}

var deleteOptions = metav1.SchemeGroupVersion.WithKind("DeleteOptions")

func nameOf(object map[string]any) string {
	if name := (&unstructured.Unstructured{Object: object}).GetName(); name != "" {
		return name
	}
	return "fuzz"
}

// example is a small object of the kind: a valid one if testdata has one.
func (b *bodies) example(kind schema.GroupVersionKind) map[string]any {
	if e := b.examples[kind]; e != nil {
		return runtime.DeepCopyJSON(e)
	}
	object := map[string]any{"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind}
	if kind != deleteOptions {
		object["metadata"] = map[string]any{"name": "fuzz"}
	}
	return object
}

// rehearsed tells whether requests of a group are made with dryRun=All: its objects change what the server does with all
// later requests.
func (t target) rehearsed() bool {
	return strings.Contains(t.path, "/namespaces/fuzz") || strings.HasSuffix(t.path, "/namespaces") ||
		strings.HasPrefix(t.path, "/apis/admissionregistration") || strings.HasPrefix(t.path, "/apis/apiextensions") ||
		strings.HasPrefix(t.path, "/apis/flowcontrol") || strings.HasPrefix(t.path, "/apis/apiregistration") ||
		strings.HasPrefix(t.path, "/apis/networking.k8s.io/v1/servicecidrs")
}

// url is where the body is sent. Collections are deleted as far as nothing is in them.
func (t target) url() string {
	query := "?fieldManager=fuzz"
	if t.item == "" && t.method == http.MethodDelete {
		query = "?labelSelector=no%3Dsuch"
	}
	if t.rehearsed() {
		query += "&dryRun=All"
	}
	return t.path + query
}

// encode writes an object in one of objectTypes; what has no form in a type is written as JSON.
func encode(object map[string]any, kind schema.GroupVersionKind, media string) []byte {
	data, _ := json.Marshal(object)
	switch media {
	case "application/yaml":
		if text, err := yaml.JSONToYAML(data); err == nil {
			return text
		}
	case runtime.ContentTypeCBOR:
		if binary, err := cbor.Marshal(object); err == nil {
			return binary
		}
	case runtime.ContentTypeProtobuf:
		typed, err := legacyscheme.Scheme.New(kind)
		if err == nil && json.Unmarshal(data, typed) == nil {
			typed.GetObjectKind().SetGroupVersionKind(kind)
			var out bytes.Buffer
			if protobuf.NewSerializer(legacyscheme.Scheme, legacyscheme.Scheme).Encode(typed, &out) == nil {
				return out.Bytes()
			}
		}
	}
	return data
}

// answer is what came back.
type answer struct {
	code int
	body []byte
}

// status reads the answer as a Status.
func (a answer) status() (status metav1.Status) {
	_ = json.Unmarshal(a.body, &status)
	return status
}

func (b *bodies) send(method, url, media string, body []byte) (answer, error) {
	request, err := http.NewRequest(method, "http://kube-lite"+url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", media)
	request.Header.Set("Accept", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, text}, err
}

// try sends a body, says what is wrong with the answer, and puts things back.
func (b *bodies) try(to target, media string, body []byte) error {
	if to.media != "" {
		media = to.media
	}
	got, err := b.send(to.method, to.url(), media, body)
	if err != nil {
		return fmt.Errorf("%s with %s has no answer: %w", to, media, err)
	}
	if err := got.improper(); err != nil {
		return fmt.Errorf("%s with %s: %w", to, media, err)
	}
	if got.code >= 500 && !got.upstreams(to, media) {
		return fmt.Errorf("%s with %s: an error of the server: %.2000s", to, media, got.body)
	}
	if got.code < 300 && !to.rehearsed() && to.item != "" {
		b.undo(to, got)
	}
	return nil
}

// fault is a request that upstream answers with an error of the server although the client is to blame. A kube-apiserver
// does the same, but cuts the connection where a handler panics.
type fault struct{ path, media, message, why string }

var upstreamsFaults = []fault{
	{"", "apply-patch", "failed to create typed patch object", "fields of wrong types"},
	{"", "apply-patch", "failed to convert new object", "values that the Go type does not take"},
	{"", "strategic-merge-patch", "", "strategicpatch checks nothing, and panics when a merge key is no scalar"},
	{"/apis/sea.example.com", "protobuf", panicked, "the decoder of custom resources takes bytes that are no protobuf for it"},
	{"", "json-patch", panicked, "evanphx/json-patch dereferences a null of the document"},
	{"/apis/sea.example.com", "json-patch", "Object 'apiVersion' is missing", "a custom resource without its apiVersion"},
	{"", "protobuf", panicked, "structured-merge-diff panics when a RawExtension's bytes are no JSON"},
	{"", "", "resourceVersion should not be set on objects to be created", "the storage finds out, and has no Status for it"},
	{"", "", "strconv.ParseUint: parsing", "a resourceVersion that is no number"},
	{"/api/v1/namespaces/default/services", "", "duplicate nodePort", "the allocator's error is no Status"},
	{"/api/v1/namespaces/default/", "", "target.", "the validation of a Binding makes no Status"},
}

// upstreams tells whether an error of the server is one of upstreamsFaults.
func (a answer) upstreams(to target, media string) bool {
	return a.code == http.StatusInternalServerError && slices.ContainsFunc(upstreamsFaults, func(f fault) bool {
		return strings.HasPrefix(to.path, f.path) && strings.Contains(media, f.media) && strings.Contains(a.status().Message, f.message)
	})
}

// improper says what is wrong with an answer: a failure must be a Status that says why.
func (a answer) improper() error {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(a.body, &object.Object); err != nil {
		return fmt.Errorf("%d is no JSON: %.2000q", a.code, a.body)
	}
	if a.code < 300 {
		if object.GetKind() == "" || object.GetAPIVersion() == "" {
			return fmt.Errorf("%d is no object: %.2000s", a.code, a.body)
		}
		return nil
	}
	s := a.status()
	if s.Kind != "Status" || s.APIVersion != "v1" || s.Status != metav1.StatusFailure || int(s.Code) != a.code || s.Message == "" {
		return fmt.Errorf("%d is no proper Status: %.2000s", a.code, a.body)
	}
	return nil
}

// undo removes what a request has made, and puts the example back.
func (b *bodies) undo(to target, got answer) {
	made := &unstructured.Unstructured{}
	if json.Unmarshal(got.body, &made.Object) == nil && to.method == http.MethodPost && made.GetName() != "" && made.GetKind() == to.kind.Kind {
		b.remove(to.item[:strings.LastIndex(to.item, "/")+1] + made.GetName())
	}
	b.restore(to)
}

// remove deletes an object with its finalizers.
func (b *bodies) remove(item string) {
	_, _ = b.send(http.MethodPatch, item, "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	_, _ = b.send(http.MethodDelete, item+"?gracePeriodSeconds=0", "application/json", nil)
}

// restore makes a target's object anew.
func (b *bodies) restore(to target) {
	b.remove(to.item)
	for _, t := range b.targets {
		if t.method == http.MethodPost && t.item == to.item {
			b.make(t)
		}
	}
}

// make posts the example of a kind that is stored, to where there may be one already.
func (b *bodies) make(at target) {
	if !strings.HasPrefix(at.path, at.item) {
		data, _ := json.Marshal(b.example(at.kind))
		_, _ = b.send(at.method, at.path, "application/json", data)
	}
}

// A body over the limit, which is kube-apiserver's, is refused by each verb and for custom kinds too.
func TestLargeBodiesAreRefused(t *testing.T) {
	b := serve(t, t.TempDir()).bodies(t)
	large := bytes.Repeat([]byte(" "), int(genericapiserver.NewConfig(legacyscheme.Codecs).MaxRequestBodyBytes)+1)
	asked := 0
	for _, to := range b.targets {
		if !strings.Contains(to.path, "/pods") && !strings.Contains(to.path, "/v1/namespaces/default/ships") {
			continue
		}
		asked++
		media := objectTypes[0]
		if to.media != "" {
			media = to.media
		}
		got, err := b.send(to.method, to.url(), media, large)
		want := http.StatusRequestEntityTooLarge
		if strings.HasSuffix(media, "cbor") || media == "application/strategic-merge-patch+json" && strings.Contains(to.path, "/ships") {
			want = http.StatusUnsupportedMediaType
		}
		if err != nil || got.improper() != nil || got.code != want {
			t.Errorf("%s as %s: %v, %d %.200s", to, media, err, got.code, got.body)
		}
	}
	if asked < 40 {
		t.Errorf("only %d requests were made", asked)
	}
}
