package runtime

import (
	"fmt"
	"path/filepath"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// mounts are a container's mounts: its volumes, and the Pod's files unless it mounts
// something in their place.
func (a *Agent) mounts(pod *v1.Pod, s *podState, c *v1.Container, env []string) ([]docker.Mount, error) {
	var out []docker.Mount
	taken := map[string]bool{}
	for n, m := range c.VolumeMounts {
		mount, ok, err := a.mount(pod, s, c, n, env)
		if err != nil {
			return nil, err
		}
		if ok {
			taken[filepath.Clean(m.MountPath)] = true
			out = append(out, mount)
		}
	}
	for _, f := range []struct{ target, name string }{{"/etc/hosts", hostsFile}, {"/etc/resolv.conf", resolvConfFile}} {
		if !taken[f.target] {
			out = append(out, docker.Mount{Source: filepath.Join(a.dirs.Pod(pod.UID), f.name), Target: f.target})
		}
	}
	return out, nil
}

// mount is one mount of a container, the nth; ok is false if the volume is of a kind that
// is not supported.
func (a *Agent) mount(pod *v1.Pod, s *podState, c *v1.Container, n int, env []string) (mount docker.Mount, ok bool, err error) {
	m := c.VolumeMounts[n]
	v := pods.Volume(pod, m.Name)
	if v == nil {
		return mount, false, fmt.Errorf("volume %q is not declared", m.Name)
	}
	if !supportedVolume(*v) {
		return mount, false, nil
	}
	sub, err := subPathOf(m, env)
	if err != nil {
		return mount, false, err
	}
	source, readOnly, err := a.sourceAndAccess(pod, s, *v)
	if err != nil {
		return mount, false, err
	}
	if sub != "" {
		if source, err = a.subPath(pod, c, n, *v, source, sub); err != nil {
			return mount, false, err
		}
	}
	recursive := ""
	if m.RecursiveReadOnly != nil {
		recursive = string(*m.RecursiveReadOnly)
	}
	return docker.Mount{
		Recursive: recursive,
		Source:    source, Target: absolute(m.MountPath), Propagation: propagation(m.MountPropagation),
		ReadOnly: m.ReadOnly || readOnly,
	}, true, nil
}

// sourceAndAccess are where a volume lies, and whether nobody may write to it.
func (a *Agent) sourceAndAccess(pod *v1.Pod, s *podState, v v1.Volume) (source string, readOnly bool, err error) {
	if !pods.IsClaim(v) {
		return a.dirs.Volume(pod.UID, v), v.Image != nil || isProjection(v), nil
	}
	p, ok := s.persistent[v.Name]
	if !ok {
		return "", false, fmt.Errorf("volume %q is not mounted yet", v.Name)
	}
	return p.path, p.readOnly, nil
}

// propagation translates to Docker's words; without a declaration mounts are private.
func propagation(p *v1.MountPropagationMode) string {
	if p == nil {
		return ""
	}
	switch *p {
	case v1.MountPropagationHostToContainer:
		return "rslave"
	case v1.MountPropagationBidirectional:
		return "rshared"
	}
	return "rprivate"
}

// absolute makes a mount path absolute, as a kubelet does.
func absolute(path string) string { return filepath.Join("/", path) }
