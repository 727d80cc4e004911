package runtime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// The files that every Pod gets.
const (
	hostsFile      = "etc-hosts"
	resolvConfFile = "resolv.conf"
)

// The host's files that Pods may share.
const (
	hostHosts      = "/etc/hosts"
	hostResolvConf = "/etc/resolv.conf"
	// systemdResolvConf lists the real name servers where /etc/resolv.conf names a
	// stub on localhost, which no Pod can reach.
	systemdResolvConf = "/run/systemd/resolve/resolv.conf"
)

// writeFile replaces a file's content in place: it is mounted, so a new file under its
// name would not be seen. Containers write to it too, so it may have any size.
func writeFile(path string, content []byte) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() == int64(len(content)) {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// localHosts are the lines of every Pod's /etc/hosts.
const localHosts = "127.0.0.1\tlocalhost\n" +
	"::1\tlocalhost ip6-localhost ip6-loopback\n" +
	"fe00::0\tip6-localnet\n" +
	"fe00::0\tip6-mcastprefix\n" +
	"fe00::1\tip6-allnodes\n" +
	"fe00::2\tip6-allrouters\n"

// hosts renders the Pod's /etc/hosts. Base is the host's own for Pods in the host's
// network, else nil. Kubernetes' conformance tests look for the comments.
func hosts(pod *v1.Pod, ips pods.IPs, domain string, base []byte) []byte {
	var b bytes.Buffer
	if base != nil {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(bytes.TrimRight(base, "\n"))
		b.WriteByte('\n')
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n" + localHosts)
		name := pods.Hostname(pod)
		if pod.Spec.Subdomain != "" && pod.Spec.HostnameOverride == nil { // which is all there is of a name
			name = fmt.Sprintf("%s.%s.%s.svc.%s\t%s", name, pod.Spec.Subdomain, pod.Namespace, domain, name)
		}
		for _, ip := range ips {
			fmt.Fprintf(&b, "%s\t%s\n", ip, name)
		}
	}
	for n, alias := range pod.Spec.HostAliases {
		if n == 0 {
			b.WriteString("\n# Entries added by HostAliases.\n")
		}
		fmt.Fprintf(&b, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return b.Bytes()
}

// resolver is what a resolv.conf says.
type resolver struct{ servers, searches, options []string }

// parseResolv reads a resolv.conf; see resolv.conf(5).
func parseResolv(content []byte) (r resolver) {
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.servers = append(r.servers, fields[1])
		case "search", "domain":
			r.searches = fields[1:]
		case "options":
			r.options = append(r.options, fields[1:]...)
		}
	}
	return r
}

func (r resolver) render() []byte {
	var b bytes.Buffer
	for _, s := range r.servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(r.searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.searches, " "))
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.options, " "))
	}
	return b.Bytes()
}

// resolv applies the Pod's DNS policy and configuration.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
func resolv(pod *v1.Pod, server netip.Addr, domain string, host resolver) resolver {
	r := host
	policy := pod.Spec.DNSPolicy
	switch {
	case policy == v1.DNSNone:
		r = resolver{}
	case policy == v1.DNSDefault || policy == v1.DNSClusterFirst && pod.Spec.HostNetwork || !server.IsValid():
	default:
		searches := []string{pod.Namespace + ".svc." + domain, "svc." + domain, domain}
		r = resolver{
			servers:  []string{server.String()},
			searches: unique(append(searches, host.searches...)),
			options:  []string{"ndots:5"},
		}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.servers = unique(append(slices.Clone(r.servers), c.Nameservers...))
		r.searches = unique(append(slices.Clone(r.searches), c.Searches...))
		r.options = mergeOptions(r.options, c.Options)
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

// hostResolver reads the host's own name servers.
func hostResolver() resolver {
	content, _ := os.ReadFile(hostResolvConf)
	r := parseResolv(content)
	if slices.ContainsFunc(r.servers, isLoopback) {
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
