package node

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

// PressureTransitionPeriod is how long a pressure is reported after it was measured last, so that the taint
// does not come and go. A kubelet waits for five minutes: its evictions would fill the node again.
const PressureTransitionPeriod = 30 * time.Second

// Available is what is left on the machine. What could not be read is no reason for pressure.
type Available struct {
	Memory, Tasks *int64
	// nodeFs has the Pods' volumes, imageFs Docker's files.
	NodeFs, ImageFs *usage.Filesystem
}

// readAvailable reads the figures of this machine.
func readAvailable(log *slog.Logger, nodeDir, imageDir string) (out Available) {
	if free, err := usage.FreeMemory(); err == nil {
		out.Memory = &free
	} else {
		log.Debug("the free memory cannot be read", "error", err)
	}
	if running, most, err := usage.Tasks(); err == nil {
		left := most - running
		out.Tasks = &left
	} else {
		log.Debug("the number of processes cannot be read", "error", err)
	}
	if fs, err := usage.FilesystemOf(nodeDir); err == nil {
		out.NodeFs = &fs
	}
	if imageDir == "" { // Docker was never asked
		return out
	}
	if fs, err := usage.FilesystemOf(imageDir); err == nil { // or it is where this process cannot see it
		out.ImageFs = &fs
	}
	return out
}

// under tells whether the node is under a kind of pressure.
func (m Available) under(kind v1.NodeConditionType) bool {
	switch kind {
	case v1.NodeMemoryPressure:
		return m.Memory != nil && *m.Memory < leastMemory
	case v1.NodePIDPressure:
		return m.Tasks != nil && *m.Tasks < leastTasks
	case v1.NodeDiskPressure:
		return full(m.NodeFs, nodeFsShare, leastNodeFs) || full(m.ImageFs, imageFsShare, leastImageFs)
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

// conditionText are the reason and message of a condition.
type conditionText struct{ reason, message string }

// pressureTexts are a kubelet's, of a pressure that holds and of one that does not, in its order.
var pressureTexts = []struct {
	kind       v1.NodeConditionType
	holds, not conditionText
}{
	{
		v1.NodeMemoryPressure, conditionText{"KubeletHasInsufficientMemory", "kubelet has insufficient memory available"},
		conditionText{"KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
	},
	{
		v1.NodeDiskPressure, conditionText{"KubeletHasDiskPressure", "kubelet has disk pressure"},
		conditionText{"KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
	},
	{
		v1.NodePIDPressure, conditionText{"KubeletHasInsufficientPID", "kubelet has insufficient PID available"},
		conditionText{"KubeletHasSufficientPID", "kubelet has sufficient PID available"},
	},
}

// pressures remembers when each was measured last. Only the goroutine of node.run uses it.
type pressures map[v1.NodeConditionType]time.Time

// holds tells whether a pressure is to be reported.
func (p pressures) holds(kind v1.NodeConditionType, now time.Time) bool {
	at, measured := p[kind]
	return measured && now.Sub(at) < PressureTransitionPeriod
}

// setPressures measures what the machine has left and reports it.
func (n *Node) setPressures(s *v1.NodeStatus, now time.Time) {
	left := n.Available()
	for _, p := range pressureTexts {
		if left.under(p.kind) {
			if !n.pressures.holds(p.kind, now) {
				n.config.Log.Warn("the machine runs out of something: no pods are added", "condition", p.kind, "left", left)
			}
			n.pressures[p.kind] = now
		}
		holds, w := n.pressures.holds(p.kind, now), p.not
		if holds {
			w = p.holds
		}
		setCondition(s, metav1.NewTime(now), p.kind, holds, w.reason, w.message)
	}
}

// String implements fmt.Stringer, for the log.
func (m Available) String() string {
	text := ""
	add := func(what string, amount any) { text += fmt.Sprintf("%s %v, ", what, amount) }
	if m.Memory != nil {
		add("memory", mebibytes(uint64(*m.Memory)))
	}
	if m.Tasks != nil {
		add("processes", *m.Tasks)
	}
	if m.NodeFs != nil {
		add("disk of the pods", mebibytes(m.NodeFs.FreeBytes))
		add("inodes", m.NodeFs.FreeInodes)
	}
	if m.ImageFs != nil {
		add("disk of the images", mebibytes(m.ImageFs.FreeBytes))
		add("inodes", m.ImageFs.FreeInodes)
	}
	return strings.TrimSuffix(text, ", ")
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }
