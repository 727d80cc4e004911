package apiserver

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// openAPIIdle is how long documents stay in memory after they were last asked
// for. They would be more than half of the daemon's memory; kubectl asks for
// them in bursts, and they are made again in some tens of milliseconds.
const openAPIIdle = 20 * time.Second

const (
	openAPIV2Path = "/openapi/v2"
	openAPIV3Path = "/openapi/v3"
)

// describeAPI serves the OpenAPI documents. The generic server would make all
// of them when it starts, in a third of a second, and keep them; here each
// version is made when somebody asks, and forgotten when nobody does any more.
func (s *Server) describeAPI(c *genericapiserver.Config) {
	services, into := s.generic.Handler.GoRestfulContainer, s.generic.Handler.NonGoRestfulMux
	custom, remote := customAPI{s.custom}, remoteAPI{s.aggregation}
	v2, v3 := c.OpenAPIConfig, c.OpenAPIV3Config
	clear(v3.Definitions) // they were needed to install the groups, and the map is 7 MB
	v3.Definitions = nil
	documentV2 := &openAPIV2{remote: remote}
	documentV2.document = &onDemand{idle: openAPIIdle, build: func() http.Handler {
		m := mux.NewPathRecorderMux("OpenAPI v2")
		service, static := routes.OpenAPI{Config: v2}.InstallV2(services, m)
		whole := custom.mergeV2(static)
		tag := remote.mergeV2(whole)
		documentV2.tag.Store(&tag)
		_ = service.UpdateSpec(whole) // never fails
		return m
	}}
	documentsV3 := &onDemand{idle: openAPIIdle, build: func() http.Handler {
		m := mux.NewPathRecorderMux("OpenAPI v3")
		custom.addV3(routes.OpenAPI{V3Config: withDefinitions(*v3)}.InstallV3(services, m))
		return m
	}}
	s.openAPI = &openAPIV3{tag: documentsTag(), custom: custom, remote: remote, documents: documentsV3}
	for _, service := range services.RegisteredWebServices() {
		s.openAPI.paths = append(s.openAPI.paths, service.RootPath())
	}
	into.Handle(openAPIV2Path, documentV2)
	into.Handle(openAPIV3Path, http.HandlerFunc(s.openAPI.list))
	into.HandlePrefix(openAPIV3Path+"/", http.HandlerFunc(s.openAPI.one))
	groups := &customGroups{custom: custom, to: s.generic.DiscoveryGroupManager}
	s.custom.changed = func() {
		s.custom.gateway.update()
		groups.update()
		documentV2.document.forgetNow()
		documentsV3.forgetNow()
		notify(s.aggregation.changed)
	}
}

// openAPIV2 serves the one document of all kinds.
type openAPIV2 struct {
	remote   remoteAPI
	document *onDemand
	tag      atomic.Pointer[string] // of the kinds of other servers that are in the document
}

// ServeHTTP is http.Handler's.
func (o *openAPIV2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if tag := o.tag.Load(); tag != nil && *tag != o.remote.tagV2(*tag) {
		o.document.forgetNow()
	}
	o.document.ServeHTTP(w, r)
}

// withDefinitions makes the definitions once, for all documents to share.
func withDefinitions(c common.OpenAPIV3Config) *common.OpenAPIV3Config {
	c.Definitions = c.GetDefinitions(func(name string) spec.Ref {
		defined, _ := c.GetDefinitionName(name)
		return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(defined))
	})
	return &c
}

// openAPIV3 serves one document per API group and version, and their list, in
// which each has a tag that clients cache it by. Upstream's tag is a hash of
// the document, so that the first list takes all of them. Those of built-in kinds come
// with the program and change with nothing else: the program's tag does for all. Those
// of custom kinds change with their definitions.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3
type openAPIV3 struct {
	tag       string
	paths     []string // of the built-in groups and versions, such as /apis/apps/v1
	custom    customAPI
	remote    remoteAPI
	documents http.Handler
}

func (o *openAPIV3) list(w http.ResponseWriter, r *http.Request) {
	list := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	for _, path := range o.paths {
		list.Paths[path[1:]] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: tagged(openAPIV3Path+path, o.tag)}
	}
	for path, tag := range o.custom.tags(o.tag) {
		list.Paths[path[1:]] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: tagged(openAPIV3Path+path, tag)}
	}
	o.remote.addV3(list.Paths, r)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // the client may be gone
}

func tagged(path, tag string) string {
	return path + "?" + url.Values{"hash": {tag}}.Encode()
}

// one serves a document. Asked for by its tag it may be kept for good.
func (o *openAPIV3) one(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, openAPIV3Path)
	if o.remote.serves(path) {
		o.remote.handler().ServeHTTP(w, r)
		return
	}
	current := cmp.Or(o.custom.tags(o.tag)[path], o.tag)
	switch r.URL.Query().Get("hash") {
	case "":
	case current:
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
		r = r.Clone(r.Context())
		r.URL.RawQuery = ""
	default:
		http.Redirect(w, r, tagged(r.URL.Path, current), http.StatusMovedPermanently)
		return
	}
	o.documents.ServeHTTP(w, r)
}

// documentsTag is another one for every program.
func documentsTag() string {
	identity := string(uuid.NewUUID()) // of this run, where the program is not to be found
	if path, err := os.Executable(); err == nil {
		if file, err := os.Stat(path); err == nil {
			identity = fmt.Sprint(KubernetesVersion, file.Size(), file.ModTime().UnixNano())
		}
	}
	return fmt.Sprintf("%X", sha256.Sum256([]byte(identity)))
}

// onDemand is a handler that is built when it is needed, and forgotten when it
// was not needed for a while.
type onDemand struct {
	build func() http.Handler
	idle  time.Duration

	mu     sync.Mutex // guards what follows
	built  http.Handler
	forget *time.Timer
}

// ServeHTTP is http.Handler's.
func (o *onDemand) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.handler().ServeHTTP(w, r) }

func (o *onDemand) handler() http.Handler {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.built == nil {
		o.built = o.build()
		if o.forget != nil {
			o.forget.Stop()
		}
		o.forget = time.AfterFunc(o.idle, o.drop)
	}
	o.forget.Reset(o.idle)
	return o.built
}

// forgetNow has what is built made anew for the next request: it is no longer true.
func (o *onDemand) forgetNow() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.built = nil
}

// drop gives the memory back at once: an idle daemon makes so little garbage
// that it would keep this for minutes.
func (o *onDemand) drop() {
	o.mu.Lock()
	o.built = nil
	o.mu.Unlock()
	debug.FreeOSMemory()
}
