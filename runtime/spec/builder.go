package spec

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/moby/sys/user"
	v1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
)

// Engine is what is asked of Docker: *docker.Engine, where its methods are documented.
type Engine interface {
	Info(ctx context.Context) (docker.Info, error)
	Image(ctx context.Context, ref string) (docker.Image, error)
}

// Config is what a Builder has to know of the node and its instance.
type Config struct {
	// Owner labels every container.
	Owner pods.Owner
	// Root is the agent's directory: SeccompDir is below it.
	Root string
	// ClusterDomain is the suffix of full names.
	ClusterDomain string
	// Network is that of the Pods.
	Network docker.NetworkSpec
	// IPv6 tells that the kernel knows it, Addressed6 that Pods have an address of it.
	IPv6, Addressed6 bool
	// PidsLimit is the most processes of each container; 0: no limit of its own.
	PidsLimit int64
	// AllowedUnsafeSysctls are patterns of the kernel's parameters that Pods may set beside the safe ones: see CheckSysctls.
	AllowedUnsafeSysctls []string
	OOMScores            *limits.OOMScores
	Engine               Engine
	// Account finds a user of an image for a container: see images.Images.Account.
	Account func(ctx context.Context, pod *v1.Pod, c *v1.Container, imageID, name string) (*user.ExecUser, error)
	// RuntimeClass reads one of the API.
	RuntimeClass func(ctx context.Context, name string) (*nodev1.RuntimeClass, error)
}

// Builder builds the specifications of Docker containers. Make it with New; many goroutines may use it at once.
type Builder struct{ config Config }

// New makes a Builder.
func New(c Config) *Builder { return &Builder{c} }
