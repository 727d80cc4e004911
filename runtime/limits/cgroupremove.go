package limits

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/kube-lite/kube-lite/runtime/usage"
	"golang.org/x/sys/unix"
)

// RemoveGroups removes a control group from every hierarchy, and those below it. The kernel
// lets none go that has a process.
func RemoveGroups(groups usage.Cgroups, path string) error {
	var errs []error
	for _, top := range groups.Hierarchies() {
		errs = append(errs, removeGroupDir(filepath.Join(top, path)))
	}
	return errors.Join(errs...)
}

// RemoveUnused removes a control group from every hierarchy in which no other is below it, and no process in it.
func RemoveUnused(groups usage.Cgroups, path string) error {
	var errs []error
	for _, top := range groups.Hierarchies() {
		dir := filepath.Join(top, path)
		err := unix.Rmdir(dir)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			errs = append(errs, &os.PathError{Op: "rmdir", Path: dir, Err: err})
		}
	}
	return errors.Join(errs...)
}

func removeGroupDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() { // its files go with it
			err = errors.Join(err, removeGroupDir(filepath.Join(dir, e.Name())))
		}
	}
	if gone := unix.Rmdir(dir); gone != nil && !errors.Is(gone, unix.ENOENT) {
		err = errors.Join(err, &os.PathError{Op: "rmdir", Path: dir, Err: gone})
	}
	return err
}
