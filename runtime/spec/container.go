package spec

import (
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// Container turns a declared container into a Docker container in the sandbox's namespaces. Env is NAME=value, in the
// order of the declarations. What takes a look at the image or the host is left to Confine.
func (b *Builder) Container(pod *v1.Pod, c *v1.Container, attempt int, sandboxID string, env []string, mounts []docker.Mount) docker.ContainerSpec {
	join := "container:" + sandboxID
	spec := docker.ContainerSpec{
		Name:       pods.DockerName(pods.RefOf(pod), c.Name, attempt),
		Image:      c.Image,
		Labels:     b.config.Owner.Labels(pod, c.Name, attempt),
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
		spec.PID = hostNamespace
	} else if pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace {
		spec.PID = join
	}
	if pod.Spec.HostNetwork {
		spec.UTS = hostNamespace
	}
	expand := expansion.MappingFuncFor(pods.EnvMap(env))
	spec.Entrypoint = expandAll(c.Command, expand)
	spec.Cmd = expandAll(c.Args, expand)
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		spec.StopSignal = string(*c.Lifecycle.StopSignal)
	}
	spec.Resources = limits.OfContainer(pod, c)
	spec.PidsLimit = b.config.PidsLimit
	spec.OOMScoreAdj = b.config.OOMScores.Of(pod, c)
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
