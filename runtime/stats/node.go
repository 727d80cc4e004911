package stats

import (
	"context"
	"fmt"
	"os"

	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// node fills in the network, the filesystems and the processes of the machine.
func (f *filler) node(ctx context.Context, out *statsv1alpha1.NodeStats) {
	out.Rlimit, out.Network = f.processes(), network(os.Getpid())
	if f.nodeFs.CapacityBytes == nil {
		return
	}
	out.Fs = whole(f.nodeFs)
	if f.imageFs.CapacityBytes == nil { // Docker keeps its files where this process cannot see them
		return
	}
	images := whole(f.imageFs)
	if list, err := f.config.Engine.Images(ctx); err == nil {
		var sum uint64
		for _, i := range list {
			sum += uint64(max(0, i.Size))
		}
		*images.UsedBytes = min(sum, *images.UsedBytes) // Docker counts a shared layer for each of its images
	}
	out.Runtime = &statsv1alpha1.RuntimeStats{ImageFs: images, ContainerFs: images}
}

// processes counts them and their threads; nil if they cannot be counted.
func (f *filler) processes() *statsv1alpha1.RlimitStats {
	running, most, err := usage.Tasks()
	if err != nil {
		return nil
	}
	return &statsv1alpha1.RlimitStats{Time: f.at, MaxPID: &most, NumOfRunningProcesses: &running}
}

// filesystem is the one that a path is on: its size and what is free, in bytes and inodes.
// What cannot be read has no figures.
func (f *filler) filesystem(path string) statsv1alpha1.FsStats {
	out := statsv1alpha1.FsStats{Time: f.at}
	var fs unix.Statfs_t
	if path == "" || unix.Statfs(path, &fs) != nil {
		return out
	}
	block := uint64(fs.Bsize)
	capacity, available, inodes, free := fs.Blocks*block, fs.Bavail*block, fs.Files, fs.Ffree
	out.CapacityBytes, out.AvailableBytes, out.Inodes, out.InodesFree = &capacity, &available, &inodes, &free
	used := (fs.Blocks - fs.Bfree) * block
	out.UsedBytes = &used
	return out
}

// whole tells how much of a filesystem is used by anybody.
func whole(fs statsv1alpha1.FsStats) *statsv1alpha1.FsStats {
	bytes, inodes := *fs.UsedBytes, *fs.Inodes-*fs.InodesFree
	fs.UsedBytes, fs.InodesUsed = &bytes, &inodes
	return &fs
}

// used tells how much of a filesystem is used by one. A measure without inodes did not
// count them.
func (f *filler) used(fs statsv1alpha1.FsStats, by usage.Disk) *statsv1alpha1.FsStats {
	fs.UsedBytes, fs.InodesUsed = unsigned(by.Bytes), nil
	if by.Inodes > 0 {
		fs.InodesUsed = unsigned(by.Inodes)
	}
	return &fs
}

// deviceOf is the device of the filesystem that a path is on, such as /dev/sda1; empty if
// it has none.
func deviceOf(path string) string {
	var at unix.Stat_t
	if unix.Stat(path, &at) != nil {
		return ""
	}
	mounts, err := procfs.GetMounts()
	if err != nil {
		return ""
	}
	number := fmt.Sprintf("%d:%d", unix.Major(at.Dev), unix.Minor(at.Dev))
	for _, m := range mounts {
		if m.MajorMinorVer == number {
			return m.Source
		}
	}
	return ""
}
