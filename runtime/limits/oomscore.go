package limits

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
	"k8s.io/kubernetes/pkg/apis/scheduling"
)

// Whom the kernel ends first when the machine's memory is used up, as a kubelet sets it.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior
const (
	// SandboxOOMScore has a sandbox ended last: with it goes the whole Pod.
	SandboxOOMScore    = -998
	guaranteedOOMScore = -997
	bestEffortOOMScore = 1000
)

// oomScore is the oom_score_adj of a container's processes on a machine of that much
// memory. Between the two ends it is the less the more memory was asked for.
func oomScore(pod *v1.Pod, c *v1.Container, machine int64) int {
	switch class := qos.GetPodQOS(pod); {
	case pod.Spec.PriorityClassName == scheduling.SystemNodeCritical, class == v1.PodQOSGuaranteed:
		return guaranteedOOMScore
	case class == v1.PodQOSBestEffort || machine == 0:
		return bestEffortOOMScore
	}
	asked, extra := c.Resources.Requests.Memory().Value(), unassigned(pod)
	score := burstable(asked+extra, machine)
	if pods.IsSidecar(c) { // it must not go before the containers that need it
		least := pod.Spec.Containers[0].Resources.Requests.Memory().Value()
		for _, other := range pod.Spec.Containers {
			least = min(least, other.Resources.Requests.Memory().Value())
		}
		score = min(score, burstable(least+extra, machine))
	}
	// Never before a Pod that asked for nothing, never after one that pays for all.
	return int(max(1000+guaranteedOOMScore, min(score, bestEffortOOMScore-1)))
}

func burstable(asked, machine int64) int64 { return 1000 - 1000*asked/machine }

// unassigned is each container's part of the memory that the Pod asks for beyond what its
// containers do.
func unassigned(pod *v1.Pod) int64 {
	if !resourcehelper.IsPodLevelRequestsSet(pod) || pod.Spec.Resources.Requests.Memory().IsZero() {
		return 0
	}
	sum := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	rest := pod.Spec.Resources.Requests.Memory().Value() - sum.Memory().Value()
	return rest / int64(len(pod.Spec.Containers)+len(pod.Spec.InitContainers))
}

// OOMScores knows how low this host lets a score be. Without CAP_SYS_RESOURCE the kernel
// refuses to go below one's own, and a container that asks for it does not start. Its
// zero value lowers nothing.
type OOMScores struct {
	log    *slog.Logger
	memory int64 // of the machine, in bytes
	floor  atomic.Int64
}

// minOOMScore is the least that the kernel knows.
const minOOMScore = -1000

// Learn takes this process's rights for the engine's: the two run on one machine, and
// where a container or VM lacks the capability both do. See Deny for the rest.
func (o *OOMScores) Learn(log *slog.Logger, memory int64) {
	o.log, o.memory = log, memory
	status, _ := os.ReadFile("/proc/self/status")
	if hasCapability(status, unix.CAP_SYS_RESOURCE) {
		o.floor.Store(minOOMScore)
		return
	}
	own, _ := os.ReadFile("/proc/self/oom_score_adj")
	floor, _ := strconv.Atoi(strings.TrimSpace(string(own))) // 0 if unknown: the kernel's default
	o.raise(floor)
}

// Deny notes that the engine refused a score below its own; false if none is asked for
// any more.
func (o *OOMScores) Deny() bool {
	if o.floor.Load() >= 0 {
		return false
	}
	o.raise(0)
	return true
}

func (o *OOMScores) raise(floor int) {
	o.floor.Store(int64(floor))
	o.log.Info("this host does not let OOM scores be lowered: guaranteed Pods and sandboxes take no precedence", "floor", floor)
}

// Of is the score of a container, or the lowest that the host allows.
func (o *OOMScores) Of(pod *v1.Pod, c *v1.Container) int {
	return o.AtLeast(oomScore(pod, c, o.memory))
}

// AtLeast is a score, or the lowest that the host allows.
func (o *OOMScores) AtLeast(score int) int { return max(score, int(o.floor.Load())) }

// RefusedOOMScore tells of an error of runc's that a lowered score may have caused. It sets the
// score in a child that can only say so by dying.
func RefusedOOMScore(err error) bool {
	return strings.Contains(err.Error(), "oom_score_adj") || strings.Contains(err.Error(), "child's PID from pipe")
}

// KillTogether has the kernel end all processes of a container when its memory runs out, as
// a kubelet does where there is cgroup v2. Version 1 ends one process only.
// https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v2.html
func KillTogether(groups usage.Cgroups, i pods.Instance) error {
	dir, unified, err := groups.Dir(i.PID, "memory")
	if err != nil || !unified || !strings.Contains(dir, i.ID) { // the process may have ended, and its ID be another's
		return nil
	}
	return setControl(filepath.Join(dir, "memory.oom.group"), "1")
}

// setControl writes a file of a cgroup, if the kernel has it.
func setControl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// hasCapability reads the effective set of a /proc/<pid>/status; see capabilities(7).
func hasCapability(status []byte, capability int) bool {
	scanner := bufio.NewScanner(bytes.NewReader(status))
	for scanner.Scan() {
		if set, ok := strings.CutPrefix(scanner.Text(), "CapEff:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && mask&(1<<capability) != 0
		}
	}
	return false
}
