package volume

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// IsFresh tells whether a directory is as it was made: empty, and root's. What is no directory,
// or a link to one, never is.
func IsFresh(dir string) (bool, error) {
	f, err := openDir(dir)
	if err != nil {
		return false, unlessOther(err)
	}
	defer f.Close()
	return isFresh(f)
}

// GiveFresh gives a directory that IsFresh to a user and, unless gid is -1, to a group. Its mode
// stays. One that is not fresh any more is left alone.
func GiveFresh(dir string, uid, gid int) error {
	f, err := openDir(dir)
	if err != nil {
		return unlessOther(err)
	}
	defer f.Close()
	if fresh, err := isFresh(f); err != nil || !fresh {
		return err
	}
	return f.Chown(uid, gid)
}

func openDir(dir string) (*os.File, error) {
	return os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// unlessOther is the error, but for what is no directory.
func unlessOther(err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

func isFresh(dir *os.File) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &stat); err != nil {
		return false, err
	}
	if stat.Uid != 0 {
		return false, nil
	}
	_, err := dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
