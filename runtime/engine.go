package runtime

import (
	"context"
	"io"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// engine is what the agent needs of Docker: *docker.Engine, or the fake that keeps
// its containers in memory. Its methods are documented there.
type engine interface {
	Ping(ctx context.Context) error
	Accepts(ctx context.Context) error
	Info(ctx context.Context) (docker.Info, error)
	containerEngine
	imageEngine
	networkEngine
}

type containerEngine interface {
	Create(ctx context.Context, spec docker.ContainerSpec) (string, error)
	Start(ctx context.Context, id string) error
	Stop(ctx context.Context, id string, grace time.Duration) error
	Update(ctx context.Context, id string, r docker.Resources) error
	Kill(ctx context.Context, id, signal string) error
	Remove(ctx context.Context, id string) error
	Exec(ctx context.Context, id string, command []string, s docker.Streams) (int, error)
	Tail(ctx context.Context, id string, lines int64, limit int) (string, error)
	Inspect(ctx context.Context, id string) (docker.Container, error)
	Written(ctx context.Context, id string) (int64, error)
	List(ctx context.Context, labels map[string]string) ([]docker.Container, error)
	Watch(ctx context.Context, labels map[string]string, w docker.Watcher)
}

type imageEngine interface {
	Image(ctx context.Context, ref string) (docker.Image, error)
	Images(ctx context.Context) ([]docker.Image, error)
	Pull(ctx context.Context, ref string, opts docker.PullOptions) error
	Load(ctx context.Context, archive io.Reader) error
	WatchImages(ctx context.Context, came func())
	ImageFiles(ctx context.Context, spec docker.ContainerSpec, read func(io.Reader) error) error
	ImageTexts(ctx context.Context, spec docker.ContainerSpec, paths ...string) (map[string][]byte, error)
}

type networkEngine interface {
	EnsureNetwork(ctx context.Context, spec docker.NetworkSpec) error
	WatchNetwork(ctx context.Context, name string, gone func())
	ConnectBridge(c docker.Container, p docker.BridgePort) error
}

var _ engine = (*docker.Engine)(nil)
