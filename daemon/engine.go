package daemon

import (
	"context"
	"fmt"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// An instance stays on the engine of its first start: its containers and images are there. Neither a
// flag that is left out nor another DOCKER_HOST or Docker context may lead the next start elsewhere,
// since it would run every pod a second time, nor a reset, since it would leave all of them behind.

// connect reaches the instance's engine.
func (s settings) connect(ctx context.Context, cfg Config) (*docker.Engine, error) {
	host, err := s.dockerHost(cfg.DockerHost)
	if err != nil {
		return nil, err
	}
	return docker.Connect(ctx, host, cfg.Log)
}

// dockerHost is what to connect to when asked is what --docker-host says, or empty. The result is empty
// where the environment leads to the instance's engine: it may have the TLS certificates as well.
func (s settings) dockerHost(asked string) (string, error) {
	if s.DockerHost == "" {
		return asked, nil
	}
	resolved, err := docker.ResolveHost(asked)
	switch {
	case err == nil && resolved == s.DockerHost:
		return asked, nil
	case asked == "":
		return s.DockerHost, nil
	case err != nil:
		return "", fmt.Errorf("--docker-host: %w", err)
	}
	return "", fmt.Errorf("--docker-host %s: the containers of this instance are on %s: leave the flag out, use another --name, or kube-lite reset",
		asked, s.DockerHost)
}
