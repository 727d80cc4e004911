package images

import (
	"context"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Config says where images come from. All of it is required.
type Config struct {
	// Owner is whose containers those are in which images are read.
	Owner  pods.Owner
	Engine Engine
	// Secret finds a Secret of the API.
	Secret func(ctx context.Context, namespace, name string) (*v1.Secret, error)
	// Event records an event of a Pod or, if c is not nil, of one of its containers.
	Event func(pod *v1.Pod, c *v1.Container, kind, reason, format string, args ...any)
	// Changed is called when a Pod should be looked at again: a pull that it waits for has ended, or it is known by now
	// how its image is shown.
	Changed func(pods.Ref)
	// Start runs a task beside others; false: it does not, since the agent is ending.
	Start func(task func(context.Context)) bool
	Now   func() time.Time
}

// Engine is what is needed of Docker: *docker.Engine.
type Engine interface {
	Image(ctx context.Context, ref string) (docker.Image, error)
	Pull(ctx context.Context, ref string, opts docker.PullOptions) error
	ImageTexts(ctx context.Context, spec docker.ContainerSpec, paths ...string) (map[string][]byte, error)
}

// Images gets the images of Pods. Any number of goroutines may use it, each with States of its own.
type Images struct {
	config   Config
	puller   *puller
	ids      *imageIDs
	accounts *accounts
}

// New makes the Images of an agent; it does nothing by itself.
func New(c Config) *Images {
	return &Images{config: c, puller: newPuller(c.Engine, c.Start, c.Now), ids: newImageIDs(c.Engine, c.Start, c.Changed),
		accounts: newAccounts(c.Engine)}
}
