package spec

import (
	"net/netip"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pause"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// hostNamespace is Docker's name of the host's own network and other namespaces.
const hostNamespace = "host"

// Sandbox is the container that holds the Pod's namespaces. The address is the Pod's, unless
// it is in the host's network.
func (b *Builder) Sandbox(pod *v1.Pod, attempt int, address netip.Addr) (docker.ContainerSpec, error) {
	ref := pods.RefOf(pod)
	spec := docker.ContainerSpec{
		Name:   pods.DockerName(ref, pods.SandboxName, attempt),
		Image:  pause.Ref,
		Labels: b.config.Owner.Labels(pod, pods.SandboxName, attempt),
		// Containers join the sandbox's IPC namespace, and with it its /dev/shm.
		IPC:     "shareable",
		Network: docker.NoNetwork, // the agent gives it a place there, unless EngineConnects
		Sysctls: sysctls(pod, b.config.IPv6, b.config.Addressed6),
		// A sandbox does nothing; it must not take CPU from those who do.
		Resources:    docker.Resources{CPUShares: limits.MinShares},
		OOMScoreAdj:  b.config.OOMScores.AtLeast(limits.SandboxOOMScore),
		SecurityOpts: []string{"seccomp=unconfined"}, // it calls nothing but pause
	}
	spec.Labels[pods.LabelType] = pods.TypeSandbox
	if pod.Spec.HostIPC {
		spec.IPC = hostNamespace
	}
	if pod.Spec.HostPID {
		spec.PID = hostNamespace
	}
	if pod.Spec.HostNetwork {
		spec.Network = hostNamespace
		spec.UTS = hostNamespace
		return spec, nil
	}
	spec.Labels[pods.LabelAddress] = address.String()
	if EngineConnects(pod) {
		spec.Network, spec.Address = b.config.Network.Name, address
		if b.config.Network.Subnet6.IsValid() {
			spec.Address6 = b.config.Network.Address6(address)
		}
	}
	name, err := pods.KernelHostname(pod, b.config.ClusterDomain)
	spec.Hostname = name
	return spec, err
}

// EngineConnects tells that Docker itself has to make the Pod a member of the network:
// another runtime, or the kernel's parameters of the device, want the device to be there first.
func EngineConnects(pod *v1.Pod) bool {
	if pod.Spec.RuntimeClassName != nil {
		return true
	}
	for name := range sysctls(pod, false, false) {
		if strings.Contains(name, ".eth0.") {
			return true
		}
	}
	return false
}
