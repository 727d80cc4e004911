package runtime

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// containerSpec turns a declared container into a Docker container in the sandbox's
// namespaces.
func (a *Agent) containerSpec(pod *v1.Pod, c *v1.Container, attempt int, sandboxID string, env []string, mounts []docker.Mount) docker.ContainerSpec {
	join := "container:" + sandboxID
	spec := docker.ContainerSpec{
		Name:       containerName(refOf(pod), c.Name, attempt),
		Image:      c.Image,
		Labels:     a.labels(pod, c.Name, attempt),
		Env:        env,
		WorkingDir: c.WorkingDir,
		TTY:        c.TTY, Stdin: c.Stdin, StdinOnce: c.StdinOnce,
		Network: join, IPC: join,
		Mounts: mounts,
	}
	spec.Labels[labelType] = typeContainer
	spec.Labels[labelSandboxID] = sandboxID
	spec.Labels[labelSpecHash] = containerHash(c)
	if pod.Spec.HostPID {
		spec.PID = hostNetwork
	} else if pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace {
		spec.PID = join
	}
	if pod.Spec.HostNetwork {
		spec.UTS = hostNetwork
	}
	expand := expansion.MappingFuncFor(envMap(env))
	spec.Entrypoint = expandAll(c.Command, expand)
	spec.Cmd = expandAll(c.Args, expand)
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		spec.StopSignal = string(*c.Lifecycle.StopSignal)
	}
	spec.Resources = resourcesOf(pod, c)
	spec.PidsLimit = a.opts.PidsLimit
	spec.OOMScoreAdj = a.oomScores.of(pod, c)
	applySecurity(&spec, pod, c)
	return spec
}

func expandAll(in []string, mapping func(string) string) []string {
	var out []string
	for _, s := range in {
		out = append(out, expansion.Expand(s, mapping))
	}
	return out
}

func envMap(env []string) map[string]string {
	out := make(map[string]string, len(env))
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		out[name] = value
	}
	return out
}

// applySecurity merges the Pod's security context with the container's, which wins.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
func applySecurity(spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) {
	ps, cs := pod.Spec.SecurityContext, c.SecurityContext
	if ps == nil {
		ps = &v1.PodSecurityContext{}
	}
	if cs == nil {
		cs = &v1.SecurityContext{}
	}
	spec.User = userOf(either(cs.RunAsUser, ps.RunAsUser), either(cs.RunAsGroup, ps.RunAsGroup))
	for _, g := range ps.SupplementalGroups {
		spec.Groups = append(spec.Groups, strconv.FormatInt(g, 10))
	}
	if ps.FSGroup != nil {
		spec.Groups = append(spec.Groups, strconv.FormatInt(*ps.FSGroup, 10))
	}
	spec.SecurityOpts = append(spec.SecurityOpts, seccomp(either(cs.SeccompProfile, ps.SeccompProfile))...)
	spec.Privileged = cs.Privileged != nil && *cs.Privileged
	spec.ReadOnlyRootFS = cs.ReadOnlyRootFilesystem != nil && *cs.ReadOnlyRootFilesystem
	if cs.AllowPrivilegeEscalation != nil && !*cs.AllowPrivilegeEscalation {
		spec.SecurityOpts = append(spec.SecurityOpts, "no-new-privileges")
	}
	if cs.Capabilities != nil {
		spec.CapAdd = capabilities(cs.Capabilities.Add)
		spec.CapDrop = capabilities(cs.Capabilities.Drop)
	}
}

// seccomp is Docker's option for a profile. Without one Kubernetes confines nothing,
// unlike Docker. A Localhost profile is named in an event, and the default stands in.
func seccomp(p *v1.SeccompProfile) []string {
	if p == nil || p.Type == v1.SeccompProfileTypeUnconfined {
		return []string{"seccomp=unconfined"}
	}
	return nil
}

// userOf is Docker's uid[:gid]. A group without a user means root in that group.
func userOf(uid, gid *int64) string {
	switch {
	case uid == nil && gid == nil:
		return ""
	case gid == nil:
		return strconv.FormatInt(*uid, 10)
	case uid == nil:
		return "0:" + strconv.FormatInt(*gid, 10)
	}
	return strconv.FormatInt(*uid, 10) + ":" + strconv.FormatInt(*gid, 10)
}

func capabilities(in []v1.Capability) (out []string) {
	for _, c := range in {
		out = append(out, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
	}
	slices.Sort(out)
	return out
}

// either is the first that is set.
func either[T any](first, second *T) *T {
	if first != nil {
		return first
	}
	return second
}
