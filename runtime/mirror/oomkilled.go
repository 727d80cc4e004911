package mirror

import "github.com/kube-lite/kube-lite/runtime/pods"

// oomReport is what Docker's events told of a container's memory. Docker itself forgets it
// when it learns of the container's end first, as it does on a busy machine: the two are told
// to it by different ways.
type oomReport struct {
	outOfMemory   bool // there was none left, for this container or another one of its Pod
	processKilled bool // the kernel ended a process of this one
}

// noteOOM remembers that there was no memory left for a container. When that of a whole Pod
// is used up, cgroup v1 tells so of all its containers.
func (m *Mirror) noteOOM(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.containers.byID[id]
	if e == nil {
		return
	}
	e.memory.outOfMemory = true
	if e.CgroupParent == "" {
		e.memory.processKilled = true
	} else if kills, err := m.Cgroups.OOMKills(e.PID); err == nil && kills > 0 {
		e.memory.processKilled = true
	}
}

// oomKilled tells whether a container ended for want of memory. One whose Pod had none left may
// have been spared, and end by itself later.
func (r oomReport) oomKilled(i pods.Instance) bool {
	return r.processKilled || (r.outOfMemory || i.OOMKilled) && (i.CgroupParent == "" || i.ExitCode == pods.KilledExitCode)
}
