package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A projected volume changes all at once, as Kubernetes promises: the files lie in a
// directory of their own, `..data` is a link to it, and each visible name is a link
// through `..data`. Replacing that one link replaces everything.
const (
	dataLink    = "..data"
	dataLinkNew = "..data_new"
	dataDirs    = "..v*" // pattern of the directories behind the link
)

// writeAtomically makes a volume hold exactly these files.
func writeAtomically(volume string, files fileSet, group *int64) error {
	if err := os.MkdirAll(volume, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(volume, 0o755); err != nil { // whatever the umask says
		return err
	}
	before, _ := os.Readlink(filepath.Join(volume, dataLink))
	dir, err := os.MkdirTemp(volume, dataDirs)
	if err != nil {
		return err
	}
	if err := writeFiles(dir, files, group); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := replaceLink(volume, filepath.Base(dir)); err != nil {
		return err
	}
	if err := linkNames(volume, files); err != nil {
		return err
	}
	if before == "" || before == filepath.Base(dir) {
		return nil
	}
	return os.RemoveAll(filepath.Join(volume, before))
}

func writeFiles(dir string, files fileSet, group *int64) error {
	if err := setOwner(dir, 0o755, group); err != nil {
		return err
	}
	for path, f := range files {
		full := filepath.Join(dir, filepath.Clean("/"+path))
		for parent := filepath.Dir(full); len(parent) > len(dir); parent = filepath.Dir(parent) {
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
			if err := setOwner(parent, 0o755, group); err != nil {
				return err
			}
		}
		if err := os.WriteFile(full, []byte(f.data), 0o600); err != nil {
			// The directory has another name each time: an event with it would not be
			// counted but repeated.
			if at := (*fs.PathError)(nil); errors.As(err, &at) {
				err = at.Err
			}
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := chownTo(full, f.owner); err != nil {
			return err
		}
		if err := setOwner(full, fs.FileMode(f.mode)&fs.ModePerm, group); err != nil {
			return err
		}
	}
	return nil
}

// chownTo gives a file to a user; what we write is root's already.
func chownTo(path string, user int64) error {
	if user == 0 {
		return nil
	}
	return os.Chown(path, int(user), -1)
}

// setOwner gives a file its mode; a group that owns it can read it at least.
func setOwner(path string, mode fs.FileMode, group *int64) error {
	if group != nil {
		if err := os.Chown(path, -1, int(*group)); err != nil {
			return err
		}
		mode |= 0o440
	}
	return os.Chmod(path, mode)
}

// replaceLink points ..data at a directory beside it, in one step.
func replaceLink(volume, target string) error {
	fresh := filepath.Join(volume, dataLinkNew)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(volume, dataLink))
}

// linkNames makes the visible names: those of the files, and no others.
func linkNames(volume string, files fileSet) error {
	want := map[string]bool{}
	for path := range files {
		top, _, _ := strings.Cut(strings.TrimPrefix(filepath.Clean("/"+path), "/"), "/")
		want[top] = true
	}
	entries, err := os.ReadDir(volume)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if want[e.Name()] || strings.HasPrefix(e.Name(), "..") {
			delete(want, e.Name())
			continue
		}
		if err := os.Remove(filepath.Join(volume, e.Name())); err != nil {
			return err
		}
	}
	for name := range want {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(volume, name)); err != nil {
			return err
		}
	}
	return nil
}
