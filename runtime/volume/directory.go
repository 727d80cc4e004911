package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// partSuffix ends the name of a directory in the making. No volume's own name has a dot.
const partSuffix = ".part"

// Build makes a directory that has its name, path, when it is whole: fill gets an empty one
// beside it, which takes the name if fill returns no error and is removed if it does. What a
// call left half made because the process ended in it is replaced. It is an error if files are
// at path already.
func Build(path string, fill func(part string) error) error {
	part := path + partSuffix
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.MkdirAll(part, 0o755); err != nil {
		return err
	}
	if err := fill(part); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("keep what was made: %w", err)
	}
	return nil
}

// MakeEmptyDir makes a directory that all users may write to (see OpenToAll), unless something is
// at path: its users may have changed its mode and owner since.
func MakeEmptyDir(path string, group *int64) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	return Build(path, func(part string) error { return OpenToAll(part, group) })
}

// OpenToAll lets all users write to a directory, whatever the daemon's umask says. What is made
// in it belongs to the group, unless that is nil. A tmpfs stays sticky, as the kernel makes
// it: nobody removes there what is another's.
func OpenToAll(path string, group *int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := info.Mode()&fs.ModeSticky | fs.ModePerm
	if group != nil {
		mode |= fs.ModeSetgid
		if err := os.Chown(path, -1, int(*group)); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}
