package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// File is one file of a projected volume.
type File struct {
	Data string
	// Mode are the permission bits; others do not count. A group that owns the volume can
	// read the file whatever they say.
	Mode int32
	// Owner is a user ID; the group is the volume's.
	Owner int64
}

// Files are the files of a volume by their path in it, with slashes; missing directories are
// made. No path leads out of the volume.
type Files map[string]File

// Equal tells whether both are the same files. None yet (nil) are no files, not even none.
func (f Files) Equal(other Files) bool { return f != nil && maps.Equal(f, other) }

// WriteAtomically makes a volume, a directory that is made if it is missing, hold exactly these
// files, which belong to the group unless it is nil. Readers see the old files or the new ones,
// never some of each. A volume that holds them is left alone: programs that watch it take each
// swap for a change. After an error the call can be repeated.
// https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically
func WriteAtomically(volume string, files Files, group *int64) (err error) {
	if err := os.MkdirAll(volume, 0o755); err != nil {
		return err
	}
	if err := ownDir(volume, group); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sweep(volume)) }()
	if !holds(filepath.Join(volume, dataLink), files, group) {
		dir, err := os.MkdirTemp(volume, dataDirs)
		if err != nil {
			return err
		}
		if err := writeFiles(dir, files, group); err != nil {
			return err
		}
		if err := replaceLink(volume, filepath.Base(dir)); err != nil {
			return err
		}
	}
	return linkNames(volume, files)
}

// sweep removes the directories behind the link that was before, and those that a crash or
// a full disk left half written.
func sweep(volume string) error {
	current, _ := os.Readlink(filepath.Join(volume, dataLink))
	entries, err := os.ReadDir(volume)
	for _, e := range entries {
		if e.IsDir() && e.Name() != current { // what is visible are links
			err = errors.Join(err, os.RemoveAll(filepath.Join(volume, e.Name())))
		}
	}
	return err
}

// holds tells whether a directory has these files and no others, as we write them.
func holds(dir string, files Files, group *int64) bool {
	want := map[string]File{}
	for path, f := range files {
		want[filepath.Clean("/"+path)] = f
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	err = filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		path := strings.TrimPrefix(at, root)
		f, known := want[path]
		delete(want, path)
		if info, err := entry.Info(); err != nil || !known || info.Mode() != fileMode(f, group) || info.Size() != int64(len(f.Data)) {
			return errors.Join(err, errOther)
		}
		if text, err := os.ReadFile(at); err != nil || string(text) != f.Data {
			return errors.Join(err, errOther)
		}
		return nil
	})
	return err == nil && len(want) == 0
}

// errOther ends the look at a directory that holds something else.
var errOther = errors.New("another file")

func writeFiles(dir string, files Files, group *int64) error {
	if err := ownDir(dir, group); err != nil {
		return err
	}
	for path, f := range files {
		full := filepath.Join(dir, filepath.Clean("/"+path))
		for parent := filepath.Dir(full); len(parent) > len(dir); parent = filepath.Dir(parent) {
			if err := os.MkdirAll(parent, 0o755); err != nil {
				return err
			}
			if err := ownDir(parent, group); err != nil {
				return err
			}
		}
		if err := os.WriteFile(full, []byte(f.Data), 0o600); err != nil {
			// The directory has another name each time: an event with it would not be
			// counted but repeated.
			if at := (*fs.PathError)(nil); errors.As(err, &at) {
				err = at.Err
			}
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := own(full, f, group); err != nil {
			return err
		}
	}
	return nil
}

// own gives a file to its user and the Pod's group; what we write is root's already.
func own(path string, f File, group *int64) error {
	if f.Owner != 0 || group != nil {
		gid := -1
		if group != nil {
			gid = int(*group)
		}
		if err := os.Chown(path, int(f.Owner), gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, fileMode(f, group))
}

// fileMode is the declared one; a group that owns the file can read it at least.
func fileMode(f File, group *int64) fs.FileMode {
	mode := fs.FileMode(f.Mode) & fs.ModePerm
	if group != nil {
		mode |= 0o440
	}
	return mode
}

// ownDir lets everybody find the files in a directory, whatever the daemon's umask says.
func ownDir(path string, group *int64) error {
	mode := fs.FileMode(0o755)
	if group != nil {
		if err := os.Chown(path, -1, int(*group)); err != nil {
			return err
		}
		mode |= fs.ModeSetgid
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
func linkNames(volume string, files Files) error {
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
