package docker

import (
	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
)

// hubKey is the name under which the docker command keeps what it knows of Docker Hub.
const hubKey = "https://index.docker.io/v1/"

// ownCredentials are those that the docker command would use for an image: what `docker
// login` left in its configuration, or in the keychain that is named there. Without any,
// or where they cannot be read, the registry is asked anonymously.
func (e *Engine) ownCredentials(ref string) Credentials {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return Credentials{} // the pull will say so
	}
	key := reference.Domain(named)
	if key == "docker.io" {
		key = hubKey
	}
	file, err := config.Load(config.Dir())
	if err != nil {
		e.log.Warn("Docker's own configuration cannot be read, and images are pulled anonymously", "dir", config.Dir(), "error", err)
		return Credentials{}
	}
	auth, err := file.GetAuthConfig(key)
	if err != nil {
		e.log.Warn("Docker's own credentials cannot be read, and images are pulled anonymously", "registry", key, "error", err)
		return Credentials{}
	}
	c := Credentials{Username: auth.Username, Password: auth.Password, IdentityToken: auth.IdentityToken, ServerAddress: auth.ServerAddress}
	if c.Username == "" && c.IdentityToken == "" {
		return Credentials{}
	}
	return c
}
