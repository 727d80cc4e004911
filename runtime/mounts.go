package runtime

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountInfo lists this process's mounts; see proc_pid_mountinfo(5).
const mountInfo = "/proc/self/mountinfo"

// unmountBelow unmounts everything that is mounted at or below dir, the latest first.
func unmountBelow(dir string) error {
	mounted, err := mountedBelow(dir)
	if err != nil {
		return err
	}
	for n := len(mounted) - 1; n >= 0; n-- {
		if err := unix.Unmount(mounted[n], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", mounted[n], err)
		}
	}
	return nil
}

func mountedBelow(dir string) (out []string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
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
