package stats

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/prometheus/procfs"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

const (
	// SampleWindow is the time over which CPU use is a rate: as short as somebody who
	// waits for `kubectl top` likes, as long as a figure needs to say something.
	SampleWindow = time.Second
	// SampleFresh is for how long figures serve all who ask. Nothing is sampled while
	// nobody asks.
	SampleFresh = 5 * time.Second
)

// Config says of what there are figures. All of it is required.
type Config struct {
	NodeName string
	Dirs     pods.Dirs
	// Pods are the node's, Instances what there is of a Pod's containers, dead ones too, oldest attempt first.
	Pods      func() []*v1.Pod
	Instances func(types.UID) []pods.Instance
	// ClaimPath is where the volume lies that is behind a claim of a Pod; empty: it is unknown, or not mounted.
	ClaimPath func(pod *v1.Pod, v v1.Volume) string
	Engine    Engine
	// DockerRoot is the directory of Docker's own files; empty: unknown.
	DockerRoot func() string
	// Sharing tells how many nodes the machine is. What one of several uses is what its Pods do.
	Sharing func() int
	// CPUs and Memory, in bytes, are the machine's.
	CPUs   int
	Memory int64
	// Start runs a task beside others; false: it does not, since the agent is ending.
	Start func(task func(context.Context)) bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Engine is what is asked of Docker: *docker.Engine.
type Engine interface {
	Images(ctx context.Context) ([]docker.Image, error)
	Written(ctx context.Context, id string) (int64, error)
}

// Stats samples what the node, its Pods and their containers use.
type Stats struct {
	config Config
	groups usage.Cgroups
	disks  *disks

	mu   sync.Mutex // guards what follows, and lets one sample at a time
	last *statsv1alpha1.Summary
	at   time.Time
}

// New makes figures of nothing yet: they are sampled when somebody asks.
func New(c Config) *Stats {
	return &Stats{config: c, disks: &disks{start: c.Start, now: c.Now, log: c.Log, known: map[string]measured{}}}
}

// summary is the use of CPU and memory, no older than SampleFresh; full adds the rest. It
// is shared: nobody may change it.
func (s *Stats) summary(ctx context.Context) (*statsv1alpha1.Summary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && s.config.Now().Sub(s.at) < SampleFresh {
		return s.last, nil
	}
	before := s.cpuTimes()
	select {
	case <-time.After(SampleWindow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out, err := s.sample(before)
	if err != nil {
		return nil, err
	}
	s.last, s.at = out, s.config.Now()
	return out, nil
}

// cpuTime is a clock of CPU and when it was read.
type cpuTime struct {
	used time.Duration
	at   time.Time
}

// nodeClock is the key of the node's own clock; containers have their IDs.
const nodeClock = ""

// cpuTimes reads the clocks of the node and of all running containers.
func (s *Stats) cpuTimes() map[string]cpuTime {
	out := map[string]cpuTime{}
	if used, err := nodeCPU(); err == nil {
		out[nodeClock] = cpuTime{used, s.config.Now()}
	}
	for _, pod := range s.config.Pods() {
		containers, _ := pods.Split(pods.Running(s.config.Instances(pod.UID)))
		for _, i := range containers {
			if used, err := s.groups.CPU(i.PID); err == nil {
				out[i.ID] = cpuTime{used, s.config.Now()}
			}
		}
	}
	return out
}

// nodeCPU is the time that all cores together were busy since the machine's start.
func nodeCPU() (time.Duration, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	stat, err := fs.Stat()
	if err != nil {
		return 0, err
	}
	c := stat.CPUTotal
	busy := c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ
	return time.Duration(busy * float64(time.Second)), nil
}

// sample reads everything and computes rates since before.
func (s *Stats) sample(before map[string]cpuTime) (*statsv1alpha1.Summary, error) {
	now := s.cpuTimes()
	node, err := s.node(rate(before[nodeClock], now[nodeClock]))
	if err != nil {
		return nil, err
	}
	out := &statsv1alpha1.Summary{Node: *node, Pods: []statsv1alpha1.PodStats{}}
	var cpu *statsv1alpha1.CPUStats
	var memory *statsv1alpha1.MemoryStats
	for _, pod := range s.config.Pods() {
		if have := pods.Running(s.config.Instances(pod.UID)); len(have) > 0 {
			of := s.pod(pod, have, before, now)
			out.Pods = append(out.Pods, of)
			cpu, memory = addCPU(cpu, of.CPU), addMemory(memory, of.Memory)
		}
	}
	if s.config.Sharing() > 1 {
		none := rate(cpuTime{at: before[nodeClock].at}, cpuTime{at: now[nodeClock].at})
		out.Node.CPU, out.Node.Memory = cmp.Or(cpu, none), cmp.Or(memory, noMemory(none.Time))
	}
	return out, nil
}

// noMemory is the use of a node without Pods.
func noMemory(at metav1.Time) *statsv1alpha1.MemoryStats {
	return &statsv1alpha1.MemoryStats{Time: at, UsageBytes: new(uint64), WorkingSetBytes: new(uint64), RSSBytes: new(uint64)}
}

// rate is how CPU was used between two readings; nil without the first one.
func rate(before, now cpuTime) *statsv1alpha1.CPUStats {
	out := &statsv1alpha1.CPUStats{Time: metav1.NewTime(now.at), UsageCoreNanoSeconds: nanoseconds(now.used)}
	if passed := now.at.Sub(before.at); !before.at.IsZero() && passed > 0 && now.used >= before.used {
		out.UsageNanoCores = nanoseconds(time.Duration(float64(now.used-before.used) * float64(time.Second) / float64(passed)))
	}
	return out
}

func nanoseconds(d time.Duration) *uint64 { return unsigned(int64(d)) }

func unsigned(n int64) *uint64 {
	out := uint64(max(0, n))
	return &out
}

func (s *Stats) node(cpu *statsv1alpha1.CPUStats) (*statsv1alpha1.NodeStats, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("read the node's figures: %w", err)
	}
	memory, err := fs.Meminfo()
	if err != nil {
		return nil, fmt.Errorf("read the node's memory: %w", err)
	}
	stat, err := fs.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the node's start: %w", err)
	}
	total, available := *memory.MemTotalBytes, *memory.MemAvailableBytes
	used, anonymous := total-*memory.MemFreeBytes, *memory.AnonPagesBytes
	working := total - available
	return &statsv1alpha1.NodeStats{
		NodeName: s.config.NodeName, StartTime: metav1.NewTime(time.Unix(int64(stat.BootTime), 0)), CPU: cpu,
		Memory: &statsv1alpha1.MemoryStats{
			Time: cpu.Time, AvailableBytes: &available, UsageBytes: &used, WorkingSetBytes: &working, RSSBytes: &anonymous,
		},
	}, nil
}

// pod tells what a Pod's containers use, and the sum. A sandbox sleeps and counts nothing.
func (s *Stats) pod(pod *v1.Pod, have []pods.Instance, before, now map[string]cpuTime) statsv1alpha1.PodStats {
	out := statsv1alpha1.PodStats{
		PodRef:     statsv1alpha1.PodReference{Name: pod.Name, Namespace: pod.Namespace, UID: string(pod.UID)},
		Containers: []statsv1alpha1.ContainerStats{},
	}
	if pod.Status.StartTime != nil {
		out.StartTime = *pod.Status.StartTime
	}
	for _, i := range have {
		if i.IsSandbox() {
			continue
		}
		c := statsv1alpha1.ContainerStats{Name: i.ContainerName, StartTime: metav1.NewTime(i.StartedAt)}
		if _, known := now[i.ID]; known {
			c.CPU = rate(before[i.ID], now[i.ID])
		}
		if m, err := s.groups.MemoryStat(i.PID); err == nil {
			c.Memory = memoryStats(s.config.Now(), m, i.Resources.Memory)
		}
		out.CPU, out.Memory = addCPU(out.CPU, c.CPU), addMemory(out.Memory, c.Memory)
		out.Containers = append(out.Containers, c)
	}
	return out
}

// memoryStats tells of a container with that limit; 0: none.
func memoryStats(at time.Time, m usage.MemoryStat, limit int64) *statsv1alpha1.MemoryStats {
	out := &statsv1alpha1.MemoryStats{
		Time: metav1.NewTime(at), UsageBytes: unsigned(m.Usage), WorkingSetBytes: unsigned(m.WorkingSet), RSSBytes: unsigned(m.RSS),
		PageFaults: unsigned(m.Faults), MajorPageFaults: unsigned(m.MajorFaults),
	}
	if limit > 0 {
		out.AvailableBytes = unsigned(limit - m.WorkingSet)
	}
	return out
}

// sum adds figures of which each may be unknown.
func sum(a, b *uint64) *uint64 {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	out := *a + *b
	return &out
}

func addCPU(a, b *statsv1alpha1.CPUStats) *statsv1alpha1.CPUStats {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return &statsv1alpha1.CPUStats{
		Time: b.Time, UsageNanoCores: sum(a.UsageNanoCores, b.UsageNanoCores), UsageCoreNanoSeconds: sum(a.UsageCoreNanoSeconds, b.UsageCoreNanoSeconds),
	}
}

// addMemory leaves out what is available: limits of containers do not add up.
func addMemory(a, b *statsv1alpha1.MemoryStats) *statsv1alpha1.MemoryStats {
	if b == nil {
		return a
	}
	if a == nil {
		a = &statsv1alpha1.MemoryStats{}
	}
	return &statsv1alpha1.MemoryStats{
		Time: b.Time, UsageBytes: sum(a.UsageBytes, b.UsageBytes), WorkingSetBytes: sum(a.WorkingSetBytes, b.WorkingSetBytes),
		RSSBytes: sum(a.RSSBytes, b.RSSBytes), PageFaults: sum(a.PageFaults, b.PageFaults), MajorPageFaults: sum(a.MajorPageFaults, b.MajorPageFaults),
	}
}
