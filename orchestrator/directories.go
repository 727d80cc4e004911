package orchestrator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// makeDirectory makes a directory that every user may write to: which one a Pod's program is, nobody knows yet.
func makeDirectory(path string) error {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	return os.Chmod(path, 0o777) // whatever the umask is
}

// removeDirectory removes a volume's directory below root, with what is in it.
func removeDirectory(root string, volume *corev1.PersistentVolume) error {
	if volume.Spec.Local == nil || filepath.Dir(volume.Spec.Local.Path) != filepath.Clean(root) {
		return fmt.Errorf("the volume's directory is not one of those below %s: remove it by hand", root)
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}

// unsupported says what a claim or its class asks for that a directory cannot give.
func unsupported(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	switch spec := claim.Spec; {
	case spec.VolumeMode != nil && *spec.VolumeMode == corev1.PersistentVolumeBlock:
		return fmt.Errorf("%s does not support block volumes", Provisioner)
	case spec.Selector != nil:
		return errors.New("a claim with a selector gets no new volume, only one that is there already")
	case spec.DataSource != nil || spec.DataSourceRef != nil:
		return errors.New("a new volume is empty: dataSource and dataSourceRef are not supported")
	}
	for name := range class.Parameters {
		return fmt.Errorf("StorageClass %s has the parameter %q: %s knows none", class.Name, name, Provisioner)
	}
	for _, option := range class.MountOptions {
		return fmt.Errorf("StorageClass %s has the mount option %q: a directory is not mounted with options", class.Name, option)
	}
	return nil
}

// volumeDirectory names a volume's directory so that a person finds it: NAMESPACE_CLAIM_VOLUME, of which none can hold
// an underscore.
func volumeDirectory(namespace, claim, volume string) string {
	return strings.Join([]string{namespace, claim, volume}, "_")
}

// StoredClaims are the claims, as NAMESPACE/NAME, whose data lies in directories below dir, sorted. It needs no API.
func StoredClaims(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var claims []string
	for _, e := range entries {
		if parts := strings.Split(e.Name(), "_"); len(parts) == 3 {
			claims = append(claims, parts[0]+"/"+parts[1])
		}
	}
	slices.Sort(claims)
	return claims, nil
}
