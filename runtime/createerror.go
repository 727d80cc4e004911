package runtime

import (
	"errors"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// refusedError says that a container cannot be made as declared, as the engine would say
// if it were asked: it becomes the reason CreateContainerError.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }

// refused tells of errors which the engine reports, or could have reported: they are
// treated like those of a create, others as CreateContainerConfigError.
func refused(err error) bool {
	var r *refusedError
	return errors.As(err, &r) || docker.IsNotFound(err) || docker.IsUnavailable(err)
}
