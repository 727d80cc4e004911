package docker

import (
	"context"
	"maps"
	"slices"
)

// Info describes the engine and the machine it runs on.
type Info struct {
	Version       string // such as 20.10.24
	APIVersion    string // the one agreed on, such as 1.41
	OS            string // the distribution, such as "Debian GNU/Linux 12 (bookworm)"
	OSType        string // linux
	Arch          string // as uname says, such as x86_64
	KernelVersion string
	CPUs          int
	Memory        int64 // bytes
	RootDir       string
	StorageDriver string
	CgroupVersion string // "1" or "2"
	CgroupDriver  string // cgroupfs or systemd
	LiveRestore   bool   // containers survive a restart of the engine
	Containers    int    // of everybody
	// Runtimes are the names of the OCI runtimes that containers may ask for.
	Runtimes []string
}

// Info asks the engine to describe itself.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	info, err := e.cli.Info(ctx)
	if err != nil {
		return Info{}, failure(err, "ask Docker for its version")
	}
	return Info{
		Version: info.ServerVersion, APIVersion: e.cli.ClientVersion(),
		OS: info.OperatingSystem, OSType: info.OSType, Arch: info.Architecture, KernelVersion: info.KernelVersion,
		CPUs: info.NCPU, Memory: info.MemTotal, RootDir: info.DockerRootDir, StorageDriver: info.Driver,
		CgroupVersion: info.CgroupVersion, CgroupDriver: info.CgroupDriver,
		LiveRestore: info.LiveRestoreEnabled, Containers: info.Containers,
		Runtimes: slices.Sorted(maps.Keys(info.Runtimes)),
	}, nil
}
