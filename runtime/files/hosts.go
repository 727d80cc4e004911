package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// The files that every Pod gets.
const (
	HostsFile      = "etc-hosts"
	ResolvConfFile = "resolv.conf"
)

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

// WriteHosts writes the Pod's /etc/hosts with the addresses that it got.
func (f *Files) WriteHosts(pod *v1.Pod, ips pods.IPs) error {
	var base []byte
	if pod.Spec.HostNetwork {
		base, _ = os.ReadFile(hostHosts)
	}
	return writeFile(filepath.Join(f.config.Dirs.Pod(pod.UID), HostsFile), hosts(pod, ips, f.config.ClusterDomain, base))
}
