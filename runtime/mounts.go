package runtime

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

// unmountBelow unmounts everything that is mounted at or below dir, the latest first. After
// it nothing is mounted there: what is removed then is nobody else's.
func unmountBelow(dir string) error {
	mounted, err := mountedBelow(dir)
	if err != nil || len(mounted) == 0 {
		return err
	}
	for n := len(mounted) - 1; n >= 0; n-- {
		if err := unix.Unmount(mounted[n], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", mounted[n], err)
		}
	}
	if mounted, err = mountedBelow(dir); err != nil || len(mounted) > 0 {
		return errors.Join(err, fmt.Errorf("still mounted: %q", mounted))
	}
	return nil
}

// mountedBelow are the paths at and below dir where something is mounted, the oldest first.
// The kernel knows them without links.
func mountedBelow(dir string) (out []string, err error) {
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
