package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
)

// Credentials are what a registry asks for; the zero value is anonymous.
type Credentials struct {
	Username, Password string
	IdentityToken      string // in place of a password
	ServerAddress      string
}

// Progress is one line of a pull's progress.
type Progress struct {
	Layer          string // short ID; empty for messages on the whole image
	Status         string // such as Downloading
	Current, Total int64  // bytes, when known
}

// PullOptions say how to pull; the zero value is a silent pull as the docker command does it.
type PullOptions struct {
	// Credentials, if they are zero, are those of the docker command's own configuration,
	// or else none.
	Credentials Credentials
	// FirstAnswer is how long the registry may take to answer at all; 0: forever.
	FirstAnswer time.Duration
	// Progress, when set, is called for each step.
	Progress func(Progress)
}

// UnreachableError says that the registry could not be asked: what it would have
// answered is unknown.
type UnreachableError struct {
	Ref string
	Err error
}

func (e *UnreachableError) Error() string {
	return failure(e.Err, "pull image %s: registry not reachable", e.Ref).Error()
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Pull fetches an image. The transfer itself takes as long as it takes: ctx bounds
// it. The error is an *UnreachableError when no registry answered.
func (e *Engine) Pull(ctx context.Context, ref string, opts PullOptions) error {
	if opts.Credentials == (Credentials{}) {
		ask, cancel := bounded(ctx, KeychainTimeout)
		opts.Credentials = e.ownCredentials(ask, ref)
		cancel()
	}
	auth, err := opts.Credentials.encode()
	if err != nil {
		return fmt.Errorf("pull image %s: encode credentials: %w", ref, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if opts.FirstAnswer > 0 {
		timer := time.AfterFunc(opts.FirstAnswer, func() {
			cancel(fmt.Errorf("%w within %v", errNoAnswer, opts.FirstAnswer))
		})
		defer timer.Stop()
		progress := opts.Progress
		opts.Progress = func(p Progress) {
			timer.Stop()
			if progress != nil {
				progress(p)
			}
		}
	}
	err = e.pull(ctx, ref, auth, opts.Progress)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errNoAnswer) {
		return &UnreachableError{Ref: ref, Err: cause}
	}
	if err != nil && registrySilent(err) {
		return &UnreachableError{Ref: ref, Err: err}
	}
	if err != nil {
		return failure(err, "pull image %s", ref)
	}
	return nil
}

func (e *Engine) pull(ctx context.Context, ref, auth string, progress func(Progress)) error {
	body, err := e.cli.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer body.Close()
	return readProgress(body, progress)
}

// readProgress reads the stream of a pull to its end, which may be an error.
func readProgress(body io.Reader, progress func(Progress)) error {
	decoder := json.NewDecoder(body)
	for {
		var line struct {
			ID, Status, Error string
			ProgressDetail    struct{ Current, Total int64 }
		}
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
		if progress != nil {
			progress(Progress{Layer: line.ID, Status: line.Status, Current: line.ProgressDetail.Current, Total: line.ProgressDetail.Total})
		}
	}
}

// registrySilent recognises, in the engine's words, failures to reach a registry. That the
// engine itself is gone says nothing of the registry.
func registrySilent(err error) bool {
	if IsUnavailable(err) {
		return false
	}
	text := err.Error()
	for _, sign := range []string{
		"dial tcp", "no such host", "i/o timeout", "connection refused", "network is unreachable",
		"TLS handshake timeout", "Client.Timeout exceeded", "request canceled while waiting", "connection reset",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func (c Credentials) encode() (string, error) {
	if c == (Credentials{}) {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, ServerAddress: c.ServerAddress,
	})
}
