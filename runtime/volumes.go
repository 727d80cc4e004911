package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// mountError says why a volume is not there. It becomes the event FailedMount, and the
// Pod waits in ContainerCreating.
type mountError struct {
	volume string // behind a claim, the PersistentVolume
	step   string // what failed
	err    error
}

func (e *mountError) Error() string {
	return fmt.Sprintf("%s failed for volume %q : %v", e.step, e.volume, e.err)
}

// The steps in which a mount can fail, as a kubelet's events name them.
const (
	stepSetUp        = "MountVolume.SetUp"
	stepMap          = "MapVolume.SetUpDevice"
	stepFindPlugin   = "MountVolume.FindPluginBySpec"
	stepNodeAffinity = "MountVolume.NodeAffinity check"
	stepMountOptions = "MountVolume.MountOptionSupport check"
)

// mountErrors are all volumes of a Pod that are not there, each with its event: whoever declared
// the Pod wants to know them at once, not one after the other.
type mountErrors []error

func (e mountErrors) Error() string {
	all := make([]string, 0, len(e))
	for _, one := range e {
		all = append(all, one.Error())
	}
	return strings.Join(all, "; ")
}

// add adds a volume's error. All claims of a Pod that are not bound make one event.
func (e *mountErrors) add(err error) {
	if more := (*claimErrors)(nil); errors.As(err, &more) {
		for _, one := range *e {
			if found := (*claimErrors)(nil); errors.As(one, &found) {
				found.volumes, found.errs = append(found.volumes, more.volumes...), append(found.errs, more.errs...)
				return
			}
		}
	}
	*e = append(*e, err)
}

// prepare makes the Pod's directory, its volumes and the files that are mounted into
// every container. The address may be unknown yet: see writeHosts.
func (a *Agent) prepare(ctx context.Context, pod *v1.Pod, s *podState, ips pods.IPs) error {
	dir := a.dirs.Pod(pod.UID)
	if err := os.MkdirAll(a.dirs.Volumes(pod.UID), 0o750); err != nil {
		return err
	}
	var missing mountErrors
	for _, v := range pod.Spec.Volumes {
		if err := a.makeVolume(ctx, pod, s, v); err != nil {
			missing.add(err)
		}
	}
	if len(missing) > 0 {
		return missing
	}
	if err := a.writeResolvConf(pod, filepath.Join(dir, resolvConfFile)); err != nil {
		return err
	}
	a.step("volumes")
	return a.writeHosts(pod, ips)
}

// makeVolume makes one volume. Kinds that are not supported were named in an event.
func (a *Agent) makeVolume(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume) (err error) {
	switch {
	case pods.IsClaim(v):
		return a.mountClaim(ctx, pod, s, v)
	case v.EmptyDir != nil:
		err = a.makeEmptyDir(pod, v)
	case v.HostPath != nil:
		err = volume.CheckHostPath(v.HostPath.Path, ptr.Deref(v.HostPath.Type, v1.HostPathUnset))
	case isProjection(v):
		err = a.project(pod, s, v)
	}
	if err != nil {
		return &mountError{v.Name, stepSetUp, err}
	}
	return nil
}

// writeHosts writes the Pod's /etc/hosts with the addresses that it got.
func (a *Agent) writeHosts(pod *v1.Pod, ips pods.IPs) error {
	var base []byte
	if pod.Spec.HostNetwork {
		base, _ = os.ReadFile(hostHosts)
	}
	return writeFile(filepath.Join(a.dirs.Pod(pod.UID), hostsFile), hosts(pod, ips, a.opts.ClusterDomain, base))
}

// supportedVolume tells whether a volume of that kind is made.
func supportedVolume(v v1.Volume) bool {
	return pods.IsClaim(v) || v.EmptyDir != nil || v.HostPath != nil || v.Image != nil || isProjection(v)
}
