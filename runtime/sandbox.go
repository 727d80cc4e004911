package runtime

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pause"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/util/sysctl"
)

// hostNetwork is Docker's name of the host's own network.
const hostNetwork = "host"

// sandboxSpec is the container that holds the Pod's namespaces. The address is the Pod's, unless
// it is in the host's network.
func (a *Agent) sandboxSpec(pod *v1.Pod, attempt int, address netip.Addr) (docker.ContainerSpec, error) {
	ref := pods.RefOf(pod)
	spec := docker.ContainerSpec{
		Name:   pods.DockerName(ref, pods.SandboxName, attempt),
		Image:  pause.Ref,
		Labels: a.opts.owner().Labels(pod, pods.SandboxName, attempt),
		// Containers join the sandbox's IPC namespace, and with it its /dev/shm.
		IPC:     "shareable",
		Network: docker.NoNetwork, // see connect
		Sysctls: sysctls(pod, a.node.Facts.IPv6, slices.Contains(a.opts.families(), v1.IPv6Protocol)),
		// A sandbox does nothing; it must not take CPU from those who do.
		Resources:    docker.Resources{CPUShares: limits.MinShares},
		OOMScoreAdj:  a.oomScores.AtLeast(limits.SandboxOOMScore),
		SecurityOpts: []string{"seccomp=unconfined"}, // it calls nothing but pause
	}
	spec.Labels[pods.LabelType] = pods.TypeSandbox
	if pod.Spec.HostIPC {
		spec.IPC = hostNetwork
	}
	if pod.Spec.HostPID {
		spec.PID = hostNetwork
	}
	if pod.Spec.HostNetwork {
		spec.Network = hostNetwork
		spec.UTS = hostNetwork
		return spec, nil
	}
	spec.Labels[pods.LabelAddress] = address.String()
	if engineConnects(pod) {
		spec.Network, spec.Address = a.opts.Network.Name, address
		if a.opts.Network.Subnet6.IsValid() {
			spec.Address6 = a.opts.Network.Address6(address)
		}
	}
	name, err := pods.KernelHostname(pod, a.opts.ClusterDomain)
	spec.Hostname = name
	return spec, err
}

// loopbackSysctl brings up ::1, which Docker takes away in networks without IPv6: programs
// listen there that mean localhost, and on a Kubernetes node they can.
const loopbackSysctl = "net.ipv6.conf.lo.disable_ipv6"

// deviceSysctl has the devices of a Pod take addresses of IPv6, and only those that we give them.
const deviceSysctl = "net.ipv6.conf.default.disable_ipv6"

// sysctls are those that the Pod declares; ipv6 tells that the kernel knows IPv6, addressed that the Pod has an address of it.
func sysctls(pod *v1.Pod, ipv6, addressed bool) map[string]string {
	out := map[string]string{}
	if addressed && !pod.Spec.HostNetwork {
		out[deviceSysctl], out["net.ipv6.conf.default.accept_ra"] = "0", "0"
	}
	if ipv6 && !pod.Spec.HostNetwork && pod.Spec.RuntimeClassName == nil { // another runtime may have a kernel of its own
		out[loopbackSysctl] = "0"
	}
	if pod.Spec.SecurityContext == nil {
		return out
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		name := sysctl.NormalizeName(s.Name) // with dots, as Docker wants it
		if strings.HasSuffix(name, ".disable_ipv6") {
			delete(out, loopbackSysctl) // Docker sets them in no order: the Pod's shall hold
		}
		out[name] = s.Value
	}
	return out
}

// ensurePauseImage loads the sandbox image into Docker unless it is there.
func (a *Agent) ensurePauseImage(ctx context.Context) error {
	_, err := a.engine.Image(ctx, pause.Ref)
	if docker.IsNotFound(err) {
		return a.engine.Load(ctx, bytes.NewReader(pause.Tar()))
	}
	return err
}
