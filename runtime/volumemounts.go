package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// mounts are a container's mounts: its volumes, and the Pod's files unless it mounts
// something in their place.
func (a *Agent) mounts(pod *v1.Pod, c *v1.Container, env []string) ([]docker.Mount, error) {
	var out []docker.Mount
	taken := map[string]bool{}
	for _, m := range c.VolumeMounts {
		mount, ok, err := a.mount(pod, m, env)
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
			out = append(out, docker.Mount{Source: filepath.Join(a.podDir(pod.UID), f.name), Target: f.target})
		}
	}
	return out, nil
}

// mount is one mount; ok is false if the volume is of a kind that is not supported.
func (a *Agent) mount(pod *v1.Pod, m v1.VolumeMount, env []string) (mount docker.Mount, ok bool, err error) {
	volume := findVolume(pod, m.Name)
	if volume == nil {
		return mount, false, fmt.Errorf("volume %q is not declared", m.Name)
	}
	if !supportedVolume(*volume) {
		return mount, false, nil
	}
	source := a.volumePath(pod.UID, *volume)
	sub := m.SubPath
	if m.SubPathExpr != "" {
		if sub, err = expandStrictly(m.SubPathExpr, env); err != nil {
			return mount, false, err
		}
	}
	if sub != "" {
		if source, err = prepareSubPath(volume, source, sub); err != nil {
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
		ReadOnly: m.ReadOnly || volume.Image != nil || isProjection(*volume),
	}, true, nil
}

func findVolume(pod *v1.Pod, name string) *v1.Volume {
	for n := range pod.Spec.Volumes {
		if pod.Spec.Volumes[n].Name == name {
			return &pod.Spec.Volumes[n]
		}
	}
	return nil
}

// expandStrictly expands $(NAME); a name that is not set is an error.
func expandStrictly(text string, env []string) (string, error) {
	values, missing := envMap(env), ""
	out := expansion.Expand(text, func(name string) string {
		value, ok := values[name]
		if !ok {
			missing = name
		}
		return value
	})
	if missing != "" {
		return "", fmt.Errorf("subPathExpr %q: variable %s is not set", text, missing)
	}
	return out, nil
}

// prepareSubPath is the path of the host for a subPath. In an image nothing can be made: a
// subPath that is not there fails the container's creation, as the engines of Kubernetes
// have it.
func prepareSubPath(volume *v1.Volume, source, sub string) (string, error) {
	if volume.Image != nil {
		if _, err := os.Stat(filepath.Join(source, filepath.Clean("/"+sub))); errors.Is(err, fs.ErrNotExist) {
			return "", &refusedError{fmt.Errorf("ImageVolumeMountFailed: image %s of volume %q has no subPath %q", volume.Image.Reference, volume.Name, sub)}
		}
	}
	path, err := subPath(source, sub)
	if err != nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q of container: %w", volume.Name, err)
	}
	return path, nil
}

// subPath is a path within a volume, made as a directory if it does not exist. It must
// not lead out of the volume, be it by a symbolic link.
func subPath(volume, sub string) (string, error) {
	root, err := filepath.EvalSymlinks(volume)
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, filepath.Clean("/"+sub))
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		info, statErr := os.Stat(root)
		if statErr != nil {
			return "", statErr
		}
		if err = os.MkdirAll(path, info.Mode().Perm()); err == nil {
			resolved, err = filepath.EvalSymlinks(path)
		}
	}
	if err != nil {
		return "", err
	}
	if resolved != root && !strings.HasPrefix(resolved, root+"/") {
		return "", fmt.Errorf("%q leads out of the volume", sub)
	}
	return resolved, nil
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
