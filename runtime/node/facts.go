package node

import (
	"bufio"
	"bytes"
	"os"
	goruntime "runtime"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/limits"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// Facts is what does not change while the machine runs.
type Facts struct {
	Arch, Kernel, OSImage, MachineID, SystemUUID, BootID string

	CPUs         int
	Memory, Disk int64 // bytes
	HugePages    v1.ResourceList
	IPv6         bool // the kernel knows IPv6, whether there is a network for it or not
}

// readFacts asks the kernel; what it does not tell stays empty.
func readFacts(root string) Facts {
	f := Facts{
		HugePages: limits.ReadHugePages(limits.HugePagesDir),
		Arch:      goruntime.GOARCH, CPUs: goruntime.NumCPU(),
		OSImage:    osRelease("PRETTY_NAME"),
		MachineID:  firstOf("/etc/machine-id", "/var/lib/dbus/machine-id"),
		SystemUUID: firstOf("/sys/class/dmi/id/product_uuid"),
		BootID:     firstOf("/proc/sys/kernel/random/boot_id"),
	}
	_, err := os.Stat("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
	f.IPv6 = err == nil
	if f.SystemUUID == "" {
		f.SystemUUID = f.MachineID
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		f.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		f.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) == nil {
		f.Disk = int64(fs.Blocks) * fs.Bsize
	}
	return f
}

// info is the Node's nodeInfo.
func (f Facts) info(docker, kubelet string) v1.NodeSystemInfo {
	return v1.NodeSystemInfo{
		MachineID: f.MachineID, SystemUUID: f.SystemUUID, BootID: f.BootID,
		KernelVersion: f.Kernel, OSImage: f.OSImage, OperatingSystem: "linux", Architecture: f.Arch,
		ContainerRuntimeVersion: "docker://" + docker, KubeletVersion: kubelet,
	}
}

// firstOf is the content of the first file that has any.
func firstOf(paths ...string) string {
	for _, p := range paths {
		if b, err := os.ReadFile(p); err == nil && len(bytes.TrimSpace(b)) > 0 {
			return string(bytes.TrimSpace(b))
		}
	}
	return ""
}

// osRelease reads one field of os-release(5).
func osRelease(field string) string {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "Linux"
	}
	scanner := bufio.NewScanner(bytes.NewReader(b))
	for scanner.Scan() {
		if name, value, ok := strings.Cut(scanner.Text(), "="); ok && name == field {
			return strings.Trim(value, `"'`)
		}
	}
	return "Linux"
}
