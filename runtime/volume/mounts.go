package volume

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountInfo lists this process's mounts; see proc_pid_mountinfo(5).
const mountInfo = "/proc/self/mountinfo"

// RemoveTree unmounts what is mounted at and below a directory and removes it with all that
// is in it. One that is not there is no error. Nothing is removed if something stays mounted:
// it would be somebody else's files.
func RemoveTree(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := UnmountBelow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// UnmountBelow unmounts everything that is mounted at or below dir, the latest first, also
// what is in use: its users keep it until they end. After it nothing is mounted there: what
// is removed then is nobody else's. A dir that is not there has no mounts.
func UnmountBelow(dir string) error {
	mounted, err := MountedBelow(dir)
	if err != nil || len(mounted) == 0 {
		return err
	}
	for n := len(mounted) - 1; n >= 0; n-- {
		if err := unix.Unmount(mounted[n], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", mounted[n], err)
		}
	}
	if mounted, err = MountedBelow(dir); err != nil || len(mounted) > 0 {
		return errors.Join(err, fmt.Errorf("still mounted: %q", mounted))
	}
	return nil
}

// MountedBelow are the paths at and below dir where something is mounted, the oldest first,
// as the kernel has them: absolute and without links. A dir that is not there has none.
func MountedBelow(dir string) (out []string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	f, err := os.Open(mountInfo)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			out = append(out, point)
		}
	}
	return out, scanner.Err()
}

// unescape reads the octal escapes of blanks and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for n := 0; n < len(s); n++ {
		if s[n] == '\\' && n+3 < len(s) {
			if c, err := strconv.ParseUint(s[n+1:n+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				n += 3
				continue
			}
		}
		b.WriteByte(s[n])
	}
	return b.String()
}
