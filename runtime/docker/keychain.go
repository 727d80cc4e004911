package docker

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
)

// hubKey is the name under which the docker command keeps what it knows of Docker Hub.
const hubKey = "https://index.docker.io/v1/"

// ownCredentials are those that the docker command would use for an image: what `docker
// login` left in its configuration, or in the keychain that is named there. Without any,
// or where they cannot be read, the registry is asked anonymously.
func (e *Engine) ownCredentials(ctx context.Context, ref string) Credentials {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return Credentials{} // the pull will say so
	}
	key := reference.Domain(named)
	if key == "docker.io" {
		key = hubKey
	}
	auth, err := askKeychain(ctx, key)
	if err != nil {
		e.log.Warn("Docker's own credentials cannot be read, and images are pulled anonymously", "registry", key, "dir", config.Dir(), "error", err)
		return Credentials{}
	}
	c := Credentials{Username: auth.Username, Password: auth.Password, IdentityToken: auth.IdentityToken, ServerAddress: auth.ServerAddress}
	if c.Username == "" && c.IdentityToken == "" {
		return Credentials{}
	}
	return c
}

// askKeychain waits no longer than ctx for a program that reads a keychain: it may wait for
// somebody to unlock that, and it cannot be ended from here.
func askKeychain(ctx context.Context, key string) (types.AuthConfig, error) {
	type answer struct {
		auth types.AuthConfig
		err  error
	}
	answers, dir := make(chan answer, 1), config.Dir()
	go func() { // ends with the program
		file, err := config.Load(dir)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		auth, err := file.GetAuthConfig(key)
		answers <- answer{auth, err}
	}()
	select {
	case a := <-answers:
		return a.auth, a.err
	case <-ctx.Done():
		return types.AuthConfig{}, fmt.Errorf("the keychain does not answer: %w", ctx.Err())
	}
}
