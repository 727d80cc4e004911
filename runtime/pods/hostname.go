package pods

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Hostname is the Pod's: spec.hostname, or its name, cut to what Linux can hold.
func Hostname(pod *v1.Pod) string {
	name := pod.Spec.Hostname
	if pod.Spec.HostnameOverride != nil {
		name = *pod.Spec.HostnameOverride
	}
	if name == "" {
		name = pod.Name
	}
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-.")
	}
	return name
}

// hostnameLimit is how long a name the kernel holds, in bytes (HOST_NAME_MAX).
const hostnameLimit = 64

// KernelHostname is what the Pod's kernel calls it: the hostname, or the whole name.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-sethostnameasfqdn-field
func KernelHostname(pod *v1.Pod, domain string) (string, error) {
	name := Hostname(pod)
	if pod.Spec.SetHostnameAsFQDN == nil || !*pod.Spec.SetHostnameAsFQDN || pod.Spec.Subdomain == "" {
		return name, nil
	}
	whole := fmt.Sprintf("%s.%s.%s.svc.%s", name, pod.Spec.Subdomain, pod.Namespace, domain)
	if len(whole) > hostnameLimit {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long "+
			"(%d characters is the max, %d characters requested)", whole, hostnameLimit, len(whole))
	}
	return whole, nil
}
