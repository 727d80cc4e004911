package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// What keeps Connect from succeeding.
var (
	ErrNoDocker   = errors.New("no Docker Engine answers")
	ErrPermission = errors.New("no permission to use Docker")
	ErrTooOld     = errors.New("the Docker Engine is too old")
)

// unreachable says in one line why the engine does not answer and what to do.
func unreachable(host string, err error) error {
	if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
		return fmt.Errorf("%w at %s: run as root, or add your user to the group docker", ErrPermission, host)
	}
	return fmt.Errorf("%w at %s: install it (apt-get install docker.io) or start it (systemctl start docker): %v",
		ErrNoDocker, host, firstLine(err))
}

// callError says what was tried on what, and why it failed in the engine's own words.
type callError struct {
	what string
	err  error
}

// failure wraps the error of a call.
func failure(err error, what string, args ...any) error {
	return &callError{fmt.Sprintf(what, args...), err}
}

func (e *callError) Error() string { return e.what + ": " + e.words() }

func (e *callError) words() string {
	return strings.TrimPrefix(e.err.Error(), "Error response from daemon: ")
}

// Words is what the engine said of a call that failed, without what was tried on what: for
// those who are told that anyway, and who count what repeats.
func Words(err error) string {
	if silent := (*UnreachableError)(nil); errors.As(err, &silent) {
		return "registry not reachable: " + (&callError{err: silent.Err}).words()
	}
	if call := (*callError)(nil); errors.As(err, &call) {
		return call.words()
	}
	return err.Error()
}

func (e *callError) Unwrap() error { return e.err }

// firstLine keeps an error on one line.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// IsNotFound tells that the container, image or network does not exist.
func IsNotFound(err error) bool { return errdefs.IsNotFound(err) }

// IsConflict tells that the name is in use, or the object's state forbids the call.
func IsConflict(err error) bool { return errdefs.IsConflict(err) }

// IsUnavailable tells that the engine itself could not be asked or did not answer
// in time, so that nothing is known about the object.
func IsUnavailable(err error) bool {
	var netErr net.Error
	return client.IsErrConnectionFailed(err) || errors.Is(err, ErrNoDocker) || errors.Is(err, ErrPermission) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &netErr) && !isErrno(netErr)
}

// isErrno tells an error of the kernel's, as those of files are, from one of the network:
// it has the same methods.
func isErrno(err error) bool {
	_, is := err.(syscall.Errno)
	return is
}
