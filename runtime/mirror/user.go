package mirror

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// processUser is the user of a process and its groups, by proc(5); nil if the process is gone.
// That of a container's first process right after its start is the container's, unless its
// program takes another one as fast as that.
func processUser(proc string, pid int) *v1.ContainerUser {
	if proc == "" {
		proc = "/proc"
	}
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return nil
	}
	out := &v1.LinuxContainerUser{UID: -1, GID: -1}
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		name, rest, _ := strings.Cut(scanner.Text(), ":")
		numbers := numbersIn(rest)
		switch {
		case name == "Groups":
			out.SupplementalGroups = numbers
		case name == "Uid" && len(numbers) > 0:
			out.UID = numbers[0]
		case name == "Gid" && len(numbers) > 0:
			out.GID = numbers[0]
		}
	}
	if out.UID < 0 || out.GID < 0 {
		return nil
	}
	return &v1.ContainerUser{Linux: out}
}

func numbersIn(text string) (out []int64) {
	for _, field := range strings.Fields(text) {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// withUser adds who a container runs as, once for each container.
func (m *Mirror) withUser(i pods.Instance) pods.Instance {
	m.mu.Lock()
	old := m.containers.byID[i.ID]
	m.mu.Unlock()
	switch {
	case old != nil && old.User != nil:
		i.User = old.User
	case i.Running() && !i.IsSandbox():
		i.User = processUser(m.Cgroups.Proc, i.PID)
	}
	return i
}
