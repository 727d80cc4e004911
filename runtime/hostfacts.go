package runtime

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

// hostFacts is what does not change while the machine runs.
type hostFacts struct {
	arch, kernel, osImage, machineID, systemUUID, bootID string

	cpus         int
	memory, disk int64 // bytes
	hugePages    v1.ResourceList
	ipv6         bool // the kernel knows IPv6, whether there is a network for it or not
}

// readHostFacts asks the kernel; what it does not tell stays empty.
func readHostFacts(root string) hostFacts {
	f := hostFacts{
		hugePages: limits.ReadHugePages(limits.HugePagesDir),
		arch:      goruntime.GOARCH, cpus: goruntime.NumCPU(),
		osImage:    osRelease("PRETTY_NAME"),
		machineID:  firstOf("/etc/machine-id", "/var/lib/dbus/machine-id"),
		systemUUID: firstOf("/sys/class/dmi/id/product_uuid"),
		bootID:     firstOf("/proc/sys/kernel/random/boot_id"),
	}
	_, err := os.Stat("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
	f.ipv6 = err == nil
	if f.systemUUID == "" {
		f.systemUUID = f.machineID
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		f.kernel = unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		f.memory = int64(info.Totalram) * int64(info.Unit)
	}
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) == nil {
		f.disk = int64(fs.Blocks) * fs.Bsize
	}
	return f
}

// info is the Node's nodeInfo.
func (f hostFacts) info(docker, kubelet string) v1.NodeSystemInfo {
	return v1.NodeSystemInfo{
		MachineID: f.machineID, SystemUUID: f.systemUUID, BootID: f.bootID,
		KernelVersion: f.kernel, OSImage: f.osImage, OperatingSystem: "linux", Architecture: f.arch,
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
