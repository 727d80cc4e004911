package docker

import (
	"net/netip"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

// Logs are kept by Docker's json-file driver: it is the one that can be followed,
// read back after the container died, and bounded. The sizes are a kubelet's
// containerLogMaxSize and containerLogMaxFiles.
const (
	logDriver   = "json-file"
	logMaxSize  = "10m"
	logMaxFiles = "5"
)

// ContainerSpec says what a container shall be. Empty fields are left to the image
// or to Docker's defaults.
type ContainerSpec struct {
	Name   string
	Image  string // reference or ID
	Labels map[string]string

	Entrypoint []string // nil: the image's
	Cmd        []string // nil: the image's, unless Entrypoint is set
	Env        []string // NAME=value
	WorkingDir string
	User       string // uid[:gid] or name
	Groups     []string
	Hostname   string // must be empty when Network is another container's or the host's

	TTY, Stdin, StdinOnce bool
	StopSignal            string // such as SIGTERM; empty: the image's

	// Network is a network's name, "host", NoNetwork or "container:<id>".
	Network string
	Address netip.Addr // in the named network; the zero Addr leaves it to the engine
	// Address6 is the same of IPv6; only with Address.
	Address6 netip.Addr
	IPC      string // "", "private", "shareable", "host" or "container:<id>"
	PID      string // "", "host" or "container:<id>"
	UTS      string // "" or "host"
	Sysctls  map[string]string

	Mounts []Mount

	Privileged     bool
	ReadOnlyRootFS bool
	CapAdd         []string // without CAP_
	CapDrop        []string
	SecurityOpts   []string // such as no-new-privileges
	// UnmaskPaths shows what of /proc and /sys is else hidden or read-only.
	UnmaskPaths bool
	// Runtime is one of Info.Runtimes; empty: the engine's default.
	Runtime string

	Resources
	// CgroupParent is the control group in which the engine makes the container's own, by
	// its path in each hierarchy; it is made if missing, and stays. Empty: the engine's
	// default. Only engines whose Info.CgroupDriver is cgroupfs take a path.
	CgroupParent string
	// PidsLimit is the most processes and threads of the container; 0: no limit.
	PidsLimit int64
	// OOMScoreAdj is -1000 to 1000; less than the engine's own needs CAP_SYS_RESOURCE
	// there, or the container does not start.
	OOMScoreAdj int
}

// Mount makes a file or directory of the host visible in the container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
	Propagation    string // "", rprivate, rslave or rshared
	// Recursive says whether what is mounted below is read-only too: no (the default),
	// IfPossible, which leaves it to the engine, or Enabled, which engines that speak an
	// API older than 1.44 refuse.
	Recursive string
}

// config is the portable half of Docker's own description.
func (s *ContainerSpec) config() *container.Config {
	return &container.Config{
		Image: s.Image, Labels: s.Labels, Hostname: s.Hostname,
		Entrypoint: s.Entrypoint, Cmd: s.Cmd, Env: s.Env, WorkingDir: s.WorkingDir, User: s.User,
		Tty: s.TTY, OpenStdin: s.Stdin, StdinOnce: s.StdinOnce, StopSignal: s.StopSignal,
		// The pod spec has its own probes; the image's health check would only burn CPU.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
}

// networking asks for the address, if there is one to ask for.
func (s *ContainerSpec) networking() *network.NetworkingConfig {
	if !s.Address.IsValid() {
		return nil
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		s.Network: {IPAMConfig: s.ipam()},
	}}
}

func (s *ContainerSpec) ipam() *network.EndpointIPAMConfig {
	config := &network.EndpointIPAMConfig{IPv4Address: s.Address.String()}
	if s.Address6.IsValid() {
		config.IPv6Address = s.Address6.String()
	}
	return config
}

// hostConfig is the half that depends on this machine.
func (s *ContainerSpec) hostConfig() *container.HostConfig {
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(s.Network), IpcMode: container.IpcMode(s.IPC),
		PidMode: container.PidMode(s.PID), UTSMode: container.UTSMode(s.UTS),
		Sysctls: s.Sysctls, GroupAdd: s.Groups,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     container.LogConfig{Type: logDriver, Config: map[string]string{"max-size": logMaxSize, "max-file": logMaxFiles}},
		Privileged:    s.Privileged, ReadonlyRootfs: s.ReadOnlyRootFS,
		CapAdd: s.CapAdd, CapDrop: s.CapDrop, SecurityOpt: s.SecurityOpts,
		OomScoreAdj: s.OOMScoreAdj, Runtime: s.Runtime,
		Resources: s.Resources.sdk(),
	}
	h.CgroupParent = s.CgroupParent
	if s.PidsLimit > 0 {
		h.PidsLimit = &s.PidsLimit
	}
	if s.UnmaskPaths {
		h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	}
	for _, m := range s.Mounts {
		h.Mounts = append(h.Mounts, m.sdk())
	}
	return h
}

// sdk is a bind mount: unlike the older "binds" it fails when the source is
// missing instead of making a directory of that name.
func (m Mount) sdk() mount.Mount {
	out := mount.Mount{Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	options := mount.BindOptions{Propagation: mount.Propagation(m.Propagation)}
	if m.ReadOnly {
		options.ReadOnlyForceRecursive = m.Recursive == "Enabled"
		if options.ReadOnlyForceRecursive {
			options.Propagation = mount.PropagationRPrivate // Docker does it with no other
		}
		options.ReadOnlyNonRecursive = m.Recursive == "" || m.Recursive == "Disabled"
	}
	if options != (mount.BindOptions{}) {
		out.BindOptions = &options
	}
	return out
}
