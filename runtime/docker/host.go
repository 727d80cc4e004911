package docker

import (
	"fmt"
	"os"

	"github.com/docker/cli/cli/config"
	dockercontext "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"
)

// defaultContext is the context that stands for "no context".
const defaultContext = "default"

// clientOpts says how to reach the engine, in the docker command's own order.
func clientOpts(host string) ([]client.Opt, error) {
	switch {
	case host != "":
		return endpointOpts(dockercontext.Endpoint{EndpointMeta: dockercontext.EndpointMeta{Host: host}})
	case os.Getenv(client.EnvOverrideHost) != "":
		return environmentOpts(os.Getenv(client.EnvOverrideHost))
	}
	name, dir, err := currentContext()
	if err != nil {
		return nil, err
	}
	if name == "" || name == defaultContext {
		return environmentOpts("")
	}
	return contextOpts(name, dir)
}

// environmentOpts honours DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY; an
// ssh:// host needs the CLI's connection helper.
func environmentOpts(host string) ([]client.Opt, error) {
	if len(host) > 6 && host[:6] == "ssh://" {
		return endpointOpts(dockercontext.Endpoint{EndpointMeta: dockercontext.EndpointMeta{Host: host}})
	}
	return []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}, nil
}

// currentContext is the name of the context in use and the directory of the store.
func currentContext() (name, dir string, err error) {
	dir = config.ContextStoreDir()
	if name := os.Getenv("DOCKER_CONTEXT"); name != "" {
		return name, dir, nil
	}
	file, err := config.Load(config.Dir())
	if err != nil {
		return "", "", fmt.Errorf("read Docker's configuration in %s: %w", config.Dir(), err)
	}
	return file.CurrentContext, dir, nil
}

// contextOpts loads a named Docker context with its TLS material.
func contextOpts(name, dir string) ([]client.Opt, error) {
	contexts := store.New(dir, store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockercontext.DockerEndpoint, func() any { return &dockercontext.EndpointMeta{} }),
	))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return nil, fmt.Errorf("the Docker context %q: %w", name, err)
	}
	endpoint, err := dockercontext.EndpointFromContext(meta)
	if err != nil {
		return nil, fmt.Errorf("the Docker context %q: %w", name, err)
	}
	withTLS, err := dockercontext.WithTLSData(contexts, name, endpoint)
	if err != nil {
		return nil, fmt.Errorf("the TLS data of Docker context %q: %w", name, err)
	}
	return endpointOpts(withTLS)
}

// endpointOpts turns an endpoint into client options.
func endpointOpts(endpoint dockercontext.Endpoint) ([]client.Opt, error) {
	opts, err := endpoint.ClientOpts()
	if err != nil {
		return nil, fmt.Errorf("the Docker host %q: %w", endpoint.Host, err)
	}
	return opts, nil
}
