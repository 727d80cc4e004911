package docker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// MinAPIVersion is the oldest Engine API this package speaks: Docker Engine 20.10.
const MinAPIVersion = "1.41"

// Engine is a connection to one Docker Engine. The zero value is not usable: see
// Connect. All methods may be called concurrently.
type Engine struct {
	cli  *client.Client
	host string
	log  *slog.Logger

	connecting sync.Mutex // held by ConnectBridge
	held       heldOutputs
}

// Connect finds the engine and makes sure that it answers and is recent enough.
// An empty host means what it means to the docker command: DOCKER_HOST, else
// DOCKER_CONTEXT, else the current context, else the default socket. The error is
// one line that says what to do; it matches ErrNoDocker, ErrPermission or
// ErrTooOld. A nil log means slog.Default().
func Connect(ctx context.Context, host string, log *slog.Logger) (*Engine, error) {
	if log == nil {
		log = slog.Default()
	}
	cli, err := newClient(host)
	if err != nil {
		return nil, err
	}
	e := &Engine{cli: cli, host: cli.DaemonHost(), log: log}
	if err := e.check(ctx); err != nil {
		_ = cli.Close()
		return nil, err
	}
	return e, nil
}

// ResolveHost is the address that Connect would use for host, without asking whether an engine answers there.
func ResolveHost(host string) (string, error) {
	cli, err := newClient(host)
	if err != nil {
		return "", err
	}
	defer cli.Close()
	return cli.DaemonHost(), nil
}

func newClient(host string) (*client.Client, error) {
	opts, err := clientOpts(host)
	if err != nil {
		return nil, err
	}
	cli, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("the Docker host %q: %w", host, err)
	}
	return cli, nil
}

// Close ends idle connections.
func (e *Engine) Close() error { return e.cli.Close() }

// Host is the address of the engine, such as unix:///var/run/docker.sock.
func (e *Engine) Host() string { return e.host }

// Ping asks whether the engine answers.
func (e *Engine) Ping(ctx context.Context) error {
	ctx, cancel := bounded(ctx, PingTimeout)
	defer cancel()
	if _, err := e.cli.Ping(ctx); err != nil {
		return unreachable(e.host, err)
	}
	return nil
}

// Accepts asks whether the engine takes new connections. One that is shutting down
// does not, though it answers on those it has, and ends its containers meanwhile.
func (e *Engine) Accepts(ctx context.Context) error {
	ctx, cancel := bounded(ctx, PingTimeout)
	defer cancel()
	conn, err := e.cli.Dialer()(ctx)
	if err != nil {
		return unreachable(e.host, err)
	}
	return conn.Close()
}

// check refuses an engine that does not answer or is too old.
func (e *Engine) check(ctx context.Context) error {
	ctx, cancel := bounded(ctx, ConnectTimeout)
	defer cancel()
	version, err := e.cli.ServerVersion(ctx)
	if err != nil {
		if tooOld(err) {
			return fmt.Errorf("%w: %v", ErrTooOld, err)
		}
		return unreachable(e.host, err)
	}
	if versions.LessThan(version.APIVersion, MinAPIVersion) {
		return fmt.Errorf("%w: engine %s at %s speaks API %s, %s is needed: upgrade to Docker Engine 20.10 or newer",
			ErrTooOld, version.Version, e.host, version.APIVersion, MinAPIVersion)
	}
	return nil
}

// tooOld recognises engines so old that the SDK itself refuses them.
func tooOld(err error) bool {
	return strings.Contains(err.Error(), "is too old")
}
