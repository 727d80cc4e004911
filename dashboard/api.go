package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
)

// apiPrefix is where the page has the Kubernetes API.
const apiPrefix = "/k8s"

// serveAPI hands a request on to the API server, as the session's user. Upgrades (exec) go through.
func serveAPI(w http.ResponseWriter, req *http.Request, s *session) {
	to, err := url.Parse(s.config.Host)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Path = strings.TrimPrefix(p.In.URL.Path, apiPrefix)
			p.Out.URL.RawPath = strings.TrimPrefix(p.In.URL.RawPath, apiPrefix)
			p.SetURL(to)
			p.Out.Header.Del("Origin") // this page's, which the API server need not know
		},
		Transport: s.transport, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeStatus(w, http.StatusBadGateway, err.Error())
		},
		ModifyResponse: func(r *http.Response) error {
			for _, own := range []string{"Content-Security-Policy", "Access-Control-Allow-Origin", "Set-Cookie"} {
				r.Header.Del(own) // what a pod says through the API server's proxy is not this page's word
			}
			return nil
		},
	}
	proxy.ServeHTTP(w, req)
}

// writeStatus answers with an error in the API's form.
func writeStatus(w http.ResponseWriter, code int, message string) {
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Message: message,
	})
}

// statusOf is what the API says of an error.
func statusOf(err error) metav1.Status {
	if said := apierrors.APIStatus(nil); errors.As(err, &said) {
		return said.Status()
	}
	return metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
}

// failAs answers as the API did.
func failAs(w http.ResponseWriter, err error) {
	status := statusOf(err)
	fail(w, int(status.Code), status.Message)
}

// place is where an object is in the API.
type place struct {
	resource        schema.GroupVersionResource
	namespace, name string // namespace is empty for kinds of the cluster
}

func (p place) String() string {
	base := "/apis/" + p.resource.Group
	if p.resource.Group == "" {
		base = "/api"
	}
	base += "/" + p.resource.Version
	if p.namespace != "" {
		base += "/namespaces/" + p.namespace
	}
	return base + "/" + p.resource.Resource + "/" + p.name
}

// placeOf reads the path of one object, as in /apis/apps/v1/namespaces/shop/deployments/web.
func placeOf(path string) (p place, err error) {
	wrong := fmt.Errorf("%q is not the path of an object", path)
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		p.resource.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		p.resource.Group, p.resource.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return p, wrong
	}
	if len(parts) == 4 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) != 2 {
		return p, wrong
	}
	p.resource.Resource, p.name = parts[0], parts[1]
	for _, part := range append(parts, p.resource.Group, p.resource.Version, p.namespace) {
		if strings.ContainsAny(part, "?#%") || part == ".." || part == "." {
			return p, wrong
		}
	}
	if p.resource.Version == "" || p.resource.Resource == "" || p.name == "" {
		return p, wrong
	}
	return p, nil
}

// kinds are what the API has said of its kinds, kept until one is asked for that is not among them.
type kinds struct {
	mu     sync.Mutex
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func (k *kinds) of(s *session) (meta.RESTMapper, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mapper == nil {
		client, err := discovery.NewDiscoveryClientForConfig(s.config)
		if err != nil {
			return nil, err
		}
		k.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
	}
	return k.mapper, nil
}

// mapping finds the kind of a resource.
func (s *session) mapping(resource schema.GroupVersionResource) (*meta.RESTMapping, error) {
	mapper, err := s.kinds.of(s)
	if err != nil {
		return nil, err
	}
	kind, err := mapper.KindFor(resource)
	if err != nil {
		return nil, err
	}
	return mapper.RESTMapping(kind.GroupKind(), kind.Version)
}

// decode reads a JSON answer.
func decode[T any](text []byte) (out T, err error) {
	err = json.Unmarshal(text, &out)
	return out, err
}
