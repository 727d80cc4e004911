package files

import (
	"fmt"
	"path/filepath"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Mounts are a container's mounts: its volumes, and the Pod's files unless it mounts
// something in their place. Claims are the volumes behind the Pod's claims that are ready, by the volume's name.
func (f *Files) Mounts(pod *v1.Pod, c *v1.Container, env []string, claims map[string]Persistent) ([]docker.Mount, error) {
	var out []docker.Mount
	taken := map[string]bool{}
	for n, m := range c.VolumeMounts {
		mount, ok, err := f.mount(pod, c, n, env, claims)
		if err != nil {
			return nil, err
		}
		if ok {
			taken[filepath.Clean(m.MountPath)] = true
			out = append(out, mount)
		}
	}
	for _, own := range []struct{ target, name string }{{"/etc/hosts", HostsFile}, {"/etc/resolv.conf", ResolvConfFile}} {
		if !taken[own.target] {
			out = append(out, docker.Mount{Source: filepath.Join(f.config.Dirs.Pod(pod.UID), own.name), Target: own.target})
		}
	}
	return out, nil
}

// mount is one mount of a container, the nth; ok is false if the volume is of a kind that
// is not supported.
func (f *Files) mount(pod *v1.Pod, c *v1.Container, n int, env []string, claims map[string]Persistent) (mount docker.Mount, ok bool, err error) {
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
	source, readOnly, err := f.sourceAndAccess(pod, *v, claims)
	if err != nil {
		return mount, false, err
	}
	if sub != "" {
		if source, err = f.subPath(pod, c, n, *v, source, sub); err != nil {
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
func (f *Files) sourceAndAccess(pod *v1.Pod, v v1.Volume, claims map[string]Persistent) (source string, readOnly bool, err error) {
	if !pods.IsClaim(v) {
		return f.config.Dirs.Volume(pod.UID, v), v.Image != nil || IsProjection(v), nil
	}
	p, ok := claims[v.Name]
	if !ok {
		return "", false, fmt.Errorf("volume %q is not mounted yet", v.Name)
	}
	return p.Path, p.ReadOnly, nil
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

// supportedVolume tells whether a volume of that kind is made.
func supportedVolume(v v1.Volume) bool {
	return pods.IsClaim(v) || v.EmptyDir != nil || v.HostPath != nil || v.Image != nil || IsProjection(v)
}
