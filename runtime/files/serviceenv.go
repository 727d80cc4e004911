package files

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// apiService is the Service that every Pod may find in its variables.
const apiService = "kubernetes"

// serviceEnv are the variables that tell a Pod its Services, in the form that Docker's
// links had. Without service links only the API server's own is told.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
func (f *Files) serviceEnv(pod *v1.Pod) []v1.EnvVar {
	wanted := map[string]*v1.Service{}
	if api, err := f.config.Services.Services(v1.NamespaceDefault).Get(apiService); err == nil {
		wanted[api.Name] = api
	}
	if pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks {
		found, _ := f.config.Services.Services(pod.Namespace).List(labels.Everything()) // a lister cannot fail
		for _, s := range found {
			wanted[s.Name] = s
		}
	}
	var out []v1.EnvVar
	for _, s := range sortedServices(wanted) {
		out = append(out, serviceVariables(s)...)
	}
	return out
}

func sortedServices(in map[string]*v1.Service) []*v1.Service {
	var out []*v1.Service
	for _, s := range in {
		if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != v1.ClusterIPNone && len(s.Spec.Ports) > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *v1.Service) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func serviceVariables(s *v1.Service) []v1.EnvVar {
	name, ip := variableName(s.Name), s.Spec.ClusterIP
	set := func(key, value string) v1.EnvVar { return v1.EnvVar{Name: name + key, Value: value} }
	first := s.Spec.Ports[0]
	out := []v1.EnvVar{
		set("_SERVICE_HOST", ip),
		set("_SERVICE_PORT", strconv.Itoa(int(first.Port))),
	}
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			out = append(out, set("_SERVICE_PORT_"+variableName(p.Name), strconv.Itoa(int(p.Port))))
		}
	}
	out = append(out, set("_PORT", serviceURL(ip, first)))
	for _, p := range s.Spec.Ports {
		prefix := fmt.Sprintf("_PORT_%d_%s", p.Port, strings.ToUpper(protocolOf(p)))
		out = append(out,
			set(prefix, serviceURL(ip, p)), set(prefix+"_PROTO", protocolOf(p)),
			set(prefix+"_PORT", strconv.Itoa(int(p.Port))), set(prefix+"_ADDR", ip))
	}
	return out
}

func serviceURL(ip string, p v1.ServicePort) string {
	return protocolOf(p) + "://" + net.JoinHostPort(ip, strconv.Itoa(int(p.Port)))
}

func protocolOf(p v1.ServicePort) string {
	if p.Protocol == "" {
		return "tcp"
	}
	return strings.ToLower(string(p.Protocol))
}

// variableName makes a name that a shell takes.
func variableName(name string) string { return strings.ReplaceAll(strings.ToUpper(name), "-", "_") }
