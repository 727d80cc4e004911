package netproxy

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// portOwner names the process that has a port open, as `nginx (pid 42)`, or returns "". proc is where /proc is.
// See https://docs.kernel.org/networking/proc_net_tcp.html
func portOwner(proc string, n nodePort) string {
	inodes := socketInodes(proc, n)
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if !ok || !inodes[strings.TrimSuffix(inode, "]")] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
	}
	return ""
}

// socketInodes finds the sockets that are bound to the port, of either IP version.
func socketInodes(proc string, n nodePort) map[string]bool {
	const listening = "0A"
	inodes := map[string]bool{}
	kind := strings.ToLower(string(n.protocol))
	for _, table := range []string{kind, kind + "6"} {
		f, err := os.Open(filepath.Join(proc, "thread-self/net", table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			field := strings.Fields(lines.Text())
			if len(field) < 10 || n.protocol == corev1.ProtocolTCP && field[3] != listening {
				continue
			}
			_, hex, _ := strings.Cut(field[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(port) == n.port {
				inodes[field[9]] = true
			}
		}
		f.Close()
	}
	return inodes
}
