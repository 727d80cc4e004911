package files

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The host's files that Pods may share.
const (
	hostHosts      = "/etc/hosts"
	hostResolvConf = "/etc/resolv.conf"
	// systemdResolvConf lists the real name servers where /etc/resolv.conf names a
	// stub on localhost, which no Pod can reach.
	systemdResolvConf = "/run/systemd/resolve/resolv.conf"
)

// A resolv.conf holds no more than its readers use: glibc asks three name servers, and
// long search lists crash some resolvers. A kubelet's limits.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#dns-search-domain-list-limits
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchLine  = 2048 // bytes
)

// Resolver is what a resolv.conf says.
type Resolver struct{ Servers, Searches, Options []string }

// WriteResolvConf writes the Pod's /etc/resolv.conf, and tells what had to be left out.
func (f *Files) WriteResolvConf(pod *v1.Pod) (warnings []string, err error) {
	r, warnings := resolv(pod, f.config.DNSServer, f.config.ClusterDomain, HostResolver()).fit()
	return warnings, writeFile(filepath.Join(f.config.Dirs.Pod(pod.UID), ResolvConfFile), r.Render())
}

// fit leaves out what is over the limits, and says so in a kubelet's words.
func (r Resolver) fit() (fits Resolver, warnings []string) {
	fits = r
	if len(r.Servers) > maxNameservers {
		fits.Servers = r.Servers[:maxNameservers]
		warnings = append(warnings,
			"Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "+strings.Join(fits.Servers, " "))
	}
	fits.Searches = slices.DeleteFunc(slices.Clone(r.Searches[:min(len(r.Searches), maxSearches)]), func(s string) bool {
		return len(s) > validation.DNS1123SubdomainMaxLength
	})
	for len(strings.Join(fits.Searches, " ")) > maxSearchLine {
		fits.Searches = fits.Searches[:len(fits.Searches)-1]
	}
	if len(fits.Searches) < len(r.Searches) {
		warnings = append(warnings,
			"Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "+strings.Join(fits.Searches, " "))
	}
	return fits, warnings
}

func (r Resolver) Render() []byte {
	var b bytes.Buffer
	for _, s := range r.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(r.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.Searches, " "))
	}
	if len(r.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.Options, " "))
	}
	return b.Bytes()
}

// parseResolv reads a resolv.conf; see resolv.conf(5).
func parseResolv(content []byte) (r Resolver) {
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.Servers = append(r.Servers, fields[1])
		case "search", "domain":
			r.Searches = fields[1:]
		case "options":
			r.Options = append(r.Options, fields[1:]...)
		}
	}
	return r
}

// resolv applies the Pod's DNS policy and configuration.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
func resolv(pod *v1.Pod, server netip.Addr, domain string, host Resolver) Resolver {
	r := host
	policy := pod.Spec.DNSPolicy
	switch {
	case policy == v1.DNSNone:
		r = Resolver{}
	case policy == v1.DNSDefault || policy == v1.DNSClusterFirst && pod.Spec.HostNetwork || !server.IsValid():
	default:
		searches := []string{pod.Namespace + ".svc." + domain, "svc." + domain, domain}
		r = Resolver{
			Servers:  []string{server.String()},
			Searches: unique(append(searches, host.Searches...)),
			Options:  []string{"ndots:5"},
		}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.Servers = unique(append(slices.Clone(r.Servers), c.Nameservers...))
		r.Searches = unique(append(slices.Clone(r.Searches), c.Searches...))
		r.Options = mergeOptions(r.Options, c.Options)
	}
	return r
}

// mergeOptions adds options; one of the same name is replaced.
func mergeOptions(base []string, more []v1.PodDNSConfigOption) []string {
	out := slices.Clone(base)
	for _, o := range more {
		out = slices.DeleteFunc(out, func(s string) bool {
			name, _, _ := strings.Cut(s, ":")
			return name == o.Name
		})
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		out = append(out, text)
	}
	return out
}

func unique(in []string) (out []string) {
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// HostResolver reads the host's own name servers.
func HostResolver() Resolver {
	content, _ := os.ReadFile(hostResolvConf)
	r := parseResolv(content)
	if slices.ContainsFunc(r.Servers, isLoopback) {
		if real, err := os.ReadFile(systemdResolvConf); err == nil {
			r = parseResolv(real)
		}
	}
	return r
}

func isLoopback(server string) bool {
	addr, err := netip.ParseAddr(server)
	return err == nil && addr.IsLoopback()
}
