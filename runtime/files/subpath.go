package files

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// SubPathsDir holds the mounts of subPaths, in the Pod's directory.
const SubPathsDir = "volume-subpaths"

// subPath makes a part of a volume, which lies at root, known under a path that only we can change. A part that
// is missing is made as a directory; in an image it fails the container's creation.
// https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath
func (f *Files) subPath(pod *v1.Pod, c *v1.Container, mount int, v v1.Volume, root, sub string) (string, error) {
	fail := func(what string, err error) (string, error) {
		return "", fmt.Errorf("failed to %s for volumeMount %q of container %q: %w", what, c.VolumeMounts[mount].Name, c.Name, err)
	}
	part, err := volume.OpenSubPath(root, sub, v.Image == nil)
	if errors.Is(err, fs.ErrNotExist) && v.Image != nil { // nothing can be made in an image
		return "", &pods.RefusedError{Err: fmt.Errorf("ImageVolumeMountFailed: image %s of volume %q has no subPath %q", v.Image.Reference, v.Name, sub)}
	} else if err != nil {
		return fail("create subPath directory", err)
	}
	defer part.Close()
	target := filepath.Join(f.config.Dirs.Pod(pod.UID), SubPathsDir, v.Name, c.Name, strconv.Itoa(mount))
	if err := volume.Bind(part, target); err != nil {
		return fail("prepare subPath", err)
	}
	return target, nil
}

// subPathOf is the path within the volume that a mount declares, in a kubelet's words if it
// is none.
func subPathOf(m v1.VolumeMount, env []string) (sub string, err error) {
	sub = m.SubPath
	if m.SubPathExpr != "" {
		if sub, err = expandStrictly(m.SubPathExpr, env); err != nil {
			return "", err
		}
	}
	switch {
	case filepath.IsAbs(sub):
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub)
	case slices.Contains(strings.Split(sub, "/"), ".."):
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return sub, nil
}

// expandStrictly expands $(NAME); a name that is not set, or empty, is an error.
func expandStrictly(text string, env []string) (string, error) {
	values, missing := pods.EnvMap(env), map[string]bool{}
	out := expansion.Expand(text, func(name string) string {
		if values[name] == "" {
			missing[name] = true
		}
		return values[name]
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("missing value for %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	return out, nil
}
