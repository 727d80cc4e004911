package runtime

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A node under pressure says so: upstream's controllers give it a taint, so that no Pods are
// added. Nobody is evicted for it, since most of what fills a laptop is none of the Pods'.
//
// The thresholds are a kubelet's defaults for evictions. Those that are a share of a disk are
// bounded by amounts: a tenth of a laptop's disk is a hundred gigabytes, and a disk that is 90 %
// full is everyday life. A kubelet has none for processes.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
const (
	leastMemory  = 100 << 20
	leastTasks   = 1000
	leastInodes  = 100_000
	leastNodeFs  = 1 << 30
	leastImageFs = 2 << 30

	inodesShare  = 5  // percent
	nodeFsShare  = 10 // percent
	imageFsShare = 15 // percent
)

// pressureLasts is how long a pressure is reported after it was measured last, so that the taint
// does not come and go. A kubelet waits for five minutes: its evictions would fill the node again.
const pressureLasts = 30 * time.Second

// machineRoom is what is left on the machine. What could not be read is no reason for pressure.
type machineRoom struct {
	memory, tasks *int64
	// nodeFs has the Pods' volumes, imageFs Docker's files.
	nodeFs, imageFs *usage.Filesystem
}

// readMachineRoom reads the figures of this machine.
func readMachineRoom(log *slog.Logger, nodeDir, imageDir string) (out machineRoom) {
	if free, err := usage.FreeMemory(); err == nil {
		out.memory = &free
	} else {
		log.Debug("the free memory cannot be read", "error", err)
	}
	if running, most, err := usage.Tasks(); err == nil {
		left := most - running
		out.tasks = &left
	} else {
		log.Debug("the number of processes cannot be read", "error", err)
	}
	if fs, err := usage.FilesystemOf(nodeDir); err == nil {
		out.nodeFs = &fs
	}
	if imageDir == "" { // Docker was never asked
		return out
	}
	if fs, err := usage.FilesystemOf(imageDir); err == nil { // or it is where this process cannot see it
		out.imageFs = &fs
	}
	return out
}

// under tells whether the node is under a kind of pressure.
func (m machineRoom) under(kind v1.NodeConditionType) bool {
	switch kind {
	case v1.NodeMemoryPressure:
		return m.memory != nil && *m.memory < leastMemory
	case v1.NodePIDPressure:
		return m.tasks != nil && *m.tasks < leastTasks
	case v1.NodeDiskPressure:
		return full(m.nodeFs, nodeFsShare, leastNodeFs) || full(m.imageFs, imageFsShare, leastImageFs)
	}
	return false
}

// full tells whether a filesystem has less than a share left, and less than an amount.
func full(fs *usage.Filesystem, share, least uint64) bool {
	if fs == nil {
		return false
	}
	return fs.FreeBytes < min(fs.Bytes/100*share, least) || fs.FreeInodes < min(fs.Inodes/100*inodesShare, leastInodes)
}

// words are the reason and message of a condition.
type words struct{ reason, message string }

// pressureWords are a kubelet's, of a pressure that holds and of one that does not, in its order.
var pressureWords = []struct {
	kind       v1.NodeConditionType
	holds, not words
}{
	{
		v1.NodeMemoryPressure, words{"KubeletHasInsufficientMemory", "kubelet has insufficient memory available"},
		words{"KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
	},
	{
		v1.NodeDiskPressure, words{"KubeletHasDiskPressure", "kubelet has disk pressure"},
		words{"KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
	},
	{
		v1.NodePIDPressure, words{"KubeletHasInsufficientPID", "kubelet has insufficient PID available"},
		words{"KubeletHasSufficientPID", "kubelet has sufficient PID available"},
	},
}

// pressures remembers when each was measured last. Only the goroutine of node.run uses it.
type pressures map[v1.NodeConditionType]time.Time

// holds tells whether a pressure is to be reported.
func (p pressures) holds(kind v1.NodeConditionType, now time.Time) bool {
	at, measured := p[kind]
	return measured && now.Sub(at) < pressureLasts
}

// setPressures measures what the machine has left and reports it.
func (n *node) setPressures(s *v1.NodeStatus, now time.Time) {
	left := n.room()
	for _, p := range pressureWords {
		if left.under(p.kind) {
			if !n.pressures.holds(p.kind, now) {
				n.agent.log.Warn("the machine runs out of something: no pods are added", "condition", p.kind, "left", left)
			}
			n.pressures[p.kind] = now
		}
		holds, w := n.pressures.holds(p.kind, now), p.not
		if holds {
			w = p.holds
		}
		setNodeCondition(s, metav1.NewTime(now), p.kind, holds, w.reason, w.message)
	}
}

// String implements fmt.Stringer, for the log.
func (m machineRoom) String() string {
	text := ""
	add := func(what string, amount any) { text += fmt.Sprintf("%s %v, ", what, amount) }
	if m.memory != nil {
		add("memory", mebibytes(uint64(*m.memory)))
	}
	if m.tasks != nil {
		add("processes", *m.tasks)
	}
	if m.nodeFs != nil {
		add("disk of the pods", mebibytes(m.nodeFs.FreeBytes))
		add("inodes", m.nodeFs.FreeInodes)
	}
	if m.imageFs != nil {
		add("disk of the images", mebibytes(m.imageFs.FreeBytes))
		add("inodes", m.imageFs.FreeInodes)
	}
	return strings.TrimSuffix(text, ", ")
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
