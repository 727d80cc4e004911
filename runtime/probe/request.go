package probe

import (
	"net/http"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-base/version"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
)

// userAgent is how a kubelet names itself to a container: kube-probe/1.36. Upstream fills
// in what its linker flags say, and `go install` sets none.
func userAgent(purpose string) string {
	return "kube-" + purpose + "/" + version.DefaultKubeBinaryVersion
}

// newRequest is the request of an httpGet, for the purpose "probe" or "lifecycle". A
// User-Agent that the httpGet declares stays, even an empty one.
func newRequest(get *v1.HTTPGetAction, t Target, purpose string) (*http.Request, error) {
	request, err := httpprobe.NewRequestForHTTPGetAction(get, t.Container, t.Host, purpose)
	if err != nil {
		return nil, err
	}
	declared := slices.ContainsFunc(get.HTTPHeaders, func(h v1.HTTPHeader) bool {
		return http.CanonicalHeaderKey(h.Name) == "User-Agent"
	})
	if !declared {
		request.Header.Set("User-Agent", userAgent(purpose))
	}
	return request, nil
}
