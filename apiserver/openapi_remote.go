package apiserver

import (
	"encoding/json"
	"net/http"

	"k8s.io/apiserver/pkg/util/responsewriter"
	openapiaggregator "k8s.io/kube-aggregator/pkg/controllers/openapi/aggregator"
	specaggregator "k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// remoteAPI describes the kinds that other servers serve. Upstream's aggregator asks these servers, once a minute.
type remoteAPI struct{ aggregation *aggregation }

// handler serves the documents of other servers; nil: there are none.
func (r remoteAPI) handler() http.Handler {
	if built := r.aggregation.built.Load(); built != nil {
		return built.GenericAPIServer.UnprotectedHandler()
	}
	return nil
}

// mergeV2 adds the kinds to the one document, which it changes.
func (r remoteAPI) mergeV2(to *spec.Swagger) (tag string) {
	from := r.handler()
	if from == nil {
		return ""
	}
	downloader := openapiaggregator.NewDownloader()
	theirs, tag, _, err := downloader.Download(from, "")
	if err != nil || theirs == nil {
		return ""
	}
	// A document of theirs that cannot be merged is left out, as upstream has it.
	_ = specaggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(to, theirs)
	return tag
}

// tagV2 is another one when a document of theirs has changed.
func (r remoteAPI) tagV2(known string) string {
	from := r.handler()
	if from == nil {
		return ""
	}
	downloader := openapiaggregator.NewDownloader()
	if _, tag, _, err := downloader.Download(from, known); err == nil {
		return tag
	}
	return known
}

// serves is whether the kinds of the group and version at a path such as /apis/apps/v1 are another server's.
func (r remoteAPI) serves(path string) bool {
	gv, ok := pathVersion(path)
	if !ok || r.handler() == nil {
		return false
	}
	for _, s := range r.aggregation.remote() {
		if s.Spec.Group == gv.Group && s.Spec.Version == gv.Version {
			return true
		}
	}
	return false
}

// addV3 adds where their documents are found, in the place of those that this server would have.
func (r remoteAPI) addV3(to map[string]handler3.OpenAPIV3DiscoveryGroupVersion, request *http.Request) {
	from := r.handler()
	if from == nil {
		return
	}
	answer, theirs := responsewriter.NewInMemoryResponseWriter(), handler3.OpenAPIV3Discovery{}
	list := request.Clone(request.Context())
	list.Header = http.Header{}
	from.ServeHTTP(answer, list)
	if err := json.Unmarshal(answer.Data(), &theirs); err != nil {
		return
	}
	for path, at := range theirs.Paths {
		if r.serves("/" + path) {
			to[path] = at
		}
	}
}
