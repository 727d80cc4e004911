package runtime

import (
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// containerSpec turns a declared container into a Docker container in the sandbox's
// namespaces.
func (a *Agent) containerSpec(pod *v1.Pod, c *v1.Container, attempt int, sandboxID string, env []string, mounts []docker.Mount) docker.ContainerSpec {
	join := "container:" + sandboxID
	spec := docker.ContainerSpec{
		Name:       pods.DockerName(pods.RefOf(pod), c.Name, attempt),
		Image:      c.Image,
		Labels:     a.opts.owner().Labels(pod, c.Name, attempt),
		Env:        env,
		WorkingDir: c.WorkingDir,
		TTY:        c.TTY, Stdin: c.Stdin, StdinOnce: c.StdinOnce,
		Network: join, IPC: join,
		Mounts: mounts,
	}
	spec.Labels[pods.LabelType] = pods.TypeContainer
	spec.Labels[pods.LabelSandboxID] = sandboxID
	spec.Labels[pods.LabelSpecHash] = pods.SpecHash(pod, c)
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
	spec.Resources = limits.OfContainer(pod, c)
	spec.PidsLimit = a.opts.PidsLimit
	spec.OOMScoreAdj = a.oomScores.Of(pod, c)
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
