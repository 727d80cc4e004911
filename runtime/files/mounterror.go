package files

import (
	"errors"
	"fmt"
	"strings"
)

// MountError says why a volume is not there. It becomes the event FailedMount, and the
// Pod waits in ContainerCreating.
type MountError struct {
	Volume string // behind a claim, the PersistentVolume
	Step   string // what failed
	Err    error
}

func (e *MountError) Error() string {
	return fmt.Sprintf("%s failed for volume %q : %v", e.Step, e.Volume, e.Err)
}

// The steps in which a mount can fail, as a kubelet's events name them.
const (
	StepSetUp        = "MountVolume.SetUp"
	StepMap          = "MapVolume.SetUpDevice"
	StepFindPlugin   = "MountVolume.FindPluginBySpec"
	StepNodeAffinity = "MountVolume.NodeAffinity check"
	StepMountOptions = "MountVolume.MountOptionSupport check"
)

// MountErrors are all volumes of a Pod that are not there, each with its event: whoever declared
// the Pod wants to know them at once, not one after the other.
type MountErrors []error

func (e MountErrors) Error() string {
	all := make([]string, 0, len(e))
	for _, one := range e {
		all = append(all, one.Error())
	}
	return strings.Join(all, "; ")
}

// Add adds a volume's error. All claims of a Pod that are not bound make one event.
func (e *MountErrors) Add(err error) {
	if more := (*ClaimErrors)(nil); errors.As(err, &more) {
		for _, one := range *e {
			if found := (*ClaimErrors)(nil); errors.As(one, &found) {
				found.Volumes, found.Errs = append(found.Volumes, more.Volumes...), append(found.Errs, more.Errs...)
				return
			}
		}
	}
	*e = append(*e, err)
}

// ClaimErrors are all claims of a Pod that cannot be mounted yet, by the names of its volumes. A
// kubelet names them in one event.
type ClaimErrors struct {
	Volumes []string
	Errs    []string
}

func (e *ClaimErrors) Error() string {
	return fmt.Sprintf("Unable to attach or mount volumes: unmounted volumes=%v, unattached volumes=[], failed to process volumes=%v: %s",
		e.Volumes, e.Volumes, strings.Join(e.Errs, "; "))
}
