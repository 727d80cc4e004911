package pods

import (
	"errors"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// RefusedError says that a container cannot be made as declared, as the engine would say
// if it were asked: it becomes the reason CreateContainerError.
type RefusedError struct{ Err error }

// Error is the engine's words, or what they could have been.
func (e *RefusedError) Error() string { return e.Err.Error() }

// IsRefused tells of errors which the engine reports, or could have reported: they are
// treated like those of a create, others as CreateContainerConfigError.
func IsRefused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r) || docker.IsNotFound(err) || docker.IsUnavailable(err)
}
