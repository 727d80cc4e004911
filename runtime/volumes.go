package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// prepare makes the Pod's directory, its volumes and the files that are mounted into
// every container. The address comes later: see writeHosts.
func (a *Agent) prepare(pod *v1.Pod) error {
	dir := a.podDir(pod.UID)
	if err := os.MkdirAll(filepath.Join(dir, "volumes"), 0o750); err != nil {
		return err
	}
	for _, v := range pod.Spec.Volumes {
		if v.EmptyDir == nil {
			continue
		}
		if err := makeEmptyDir(a.volumePath(pod, v)); err != nil {
			return err
		}
	}
	r := resolv(pod, a.opts.DNSServer, a.opts.ClusterDomain, hostResolver())
	if err := writeFile(filepath.Join(dir, resolvConfFile), r.render()); err != nil {
		return err
	}
	return a.writeHosts(pod, "")
}

// writeHosts writes the Pod's /etc/hosts with the address that it got.
func (a *Agent) writeHosts(pod *v1.Pod, podIP string) error {
	var base []byte
	if pod.Spec.HostNetwork {
		base, _ = os.ReadFile(hostHosts)
	}
	return writeFile(filepath.Join(a.podDir(pod.UID), hostsFile), hosts(pod, podIP, a.opts.ClusterDomain, base))
}

// makeEmptyDir makes a directory that every user of the Pod may write to, whatever the
// daemon's umask says.
func makeEmptyDir(path string) error {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	return os.Chmod(path, 0o777)
}

// volumePath is where a volume lies on the host, as on a kubelet's node.
func (a *Agent) volumePath(pod *v1.Pod, v v1.Volume) string {
	return filepath.Join(a.podDir(pod.UID), "volumes", "kubernetes.io~empty-dir", v.Name)
}

// mounts are a container's mounts: its volumes, and the Pod's files unless it mounts
// something in their place.
func (a *Agent) mounts(pod *v1.Pod, c *v1.Container) ([]docker.Mount, error) {
	var out []docker.Mount
	taken := map[string]bool{}
	for _, m := range c.VolumeMounts {
		source, err := a.mountSource(pod, m.Name)
		if err != nil {
			return nil, err
		}
		if source == "" {
			continue
		}
		if m.SubPath != "" {
			source = filepath.Join(source, filepath.Clean("/"+m.SubPath))
			if err := makeEmptyDir(source); err != nil {
				return nil, err
			}
		}
		taken[filepath.Clean(m.MountPath)] = true
		out = append(out, docker.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	for target, name := range map[string]string{"/etc/hosts": hostsFile, "/etc/resolv.conf": resolvConfFile} {
		if !taken[target] {
			out = append(out, docker.Mount{Source: filepath.Join(a.podDir(pod.UID), name), Target: target})
		}
	}
	return out, nil
}

// mountSource finds a volume's path; empty for a kind that is not supported.
func (a *Agent) mountSource(pod *v1.Pod, name string) (string, error) {
	for _, v := range pod.Spec.Volumes {
		if v.Name != name {
			continue
		}
		switch {
		case v.EmptyDir != nil:
			return a.volumePath(pod, v), nil
		case v.HostPath != nil:
			return v.HostPath.Path, nil
		}
		return "", nil
	}
	return "", fmt.Errorf("volume %q is not declared", name)
}
