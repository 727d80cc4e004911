package runtime

import (
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// A resolv.conf holds no more than its readers use: glibc asks three name servers, and
// long search lists crash some resolvers. A kubelet's limits.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#dns-search-domain-list-limits
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchLine  = 2048 // bytes
)

// fit leaves out what is over the limits, and says so in a kubelet's words.
func (r resolver) fit() (fits resolver, warnings []string) {
	fits = r
	if len(r.servers) > maxNameservers {
		fits.servers = r.servers[:maxNameservers]
		warnings = append(warnings, "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "+strings.Join(fits.servers, " "))
	}
	fits.searches = slices.DeleteFunc(slices.Clone(r.searches[:min(len(r.searches), maxSearches)]), func(s string) bool {
		return len(s) > validation.DNS1123SubdomainMaxLength
	})
	for len(strings.Join(fits.searches, " ")) > maxSearchLine {
		fits.searches = fits.searches[:len(fits.searches)-1]
	}
	if len(fits.searches) < len(r.searches) {
		warnings = append(warnings, "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "+strings.Join(fits.searches, " "))
	}
	return fits, warnings
}

// writeResolvConf writes the Pod's /etc/resolv.conf.
func (a *Agent) writeResolvConf(pod *v1.Pod, path string) error {
	r, warnings := resolv(pod, a.opts.DNSServer, a.opts.ClusterDomain, hostResolver()).fit()
	for _, w := range warnings {
		a.event(pod, nil, v1.EventTypeWarning, "DNSConfigForming", "%s", w)
	}
	return writeFile(path, r.render())
}
