package runtime

import (
	"context"
	"os"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// prepare makes the Pod's directory, its volumes and the files that are mounted into
// every container. The address may be unknown yet: see files.Files.WriteHosts.
func (a *Agent) prepare(ctx context.Context, pod *v1.Pod, s *podState, ips pods.IPs) error {
	if err := os.MkdirAll(a.dirs.Volumes(pod.UID), 0o750); err != nil {
		return err
	}
	var missing files.MountErrors
	for _, v := range pod.Spec.Volumes {
		if err := a.makeVolume(ctx, pod, s, v); err != nil {
			missing.Add(err)
		}
	}
	if len(missing) > 0 {
		return missing
	}
	warnings, err := a.files.WriteResolvConf(pod)
	for _, w := range warnings {
		a.event(pod, nil, v1.EventTypeWarning, "DNSConfigForming", "%s", w)
	}
	if err != nil {
		return err
	}
	a.step("volumes")
	return a.files.WriteHosts(pod, ips)
}

// makeVolume makes one volume. Kinds that are not supported were named in an event.
func (a *Agent) makeVolume(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume) (err error) {
	switch {
	case pods.IsClaim(v):
		return a.mountClaim(ctx, pod, s, v)
	case v.EmptyDir != nil:
		err = a.files.MakeEmptyDir(pod, v)
	case v.HostPath != nil:
		err = volume.CheckHostPath(v.HostPath.Path, ptr.Deref(v.HostPath.Type, v1.HostPathUnset))
	case files.IsProjection(v):
		err = a.project(ctx, pod, s, v)
	}
	if err != nil {
		return &files.MountError{Volume: v.Name, Step: files.StepSetUp, Err: err}
	}
	return nil
}

// dropVolumes removes the volumes of a Pod that is over, as a kubelet does: nobody can read
// them any more, and a Pod that was evicted has to give back what it took.
func (a *Agent) dropVolumes(s *podState) {
	if err := a.files.DropVolumes(s.ref.UID); err != nil {
		a.log.Warn("the volumes of a pod that is over cannot be removed", "pod", s.ref, "error", err)
		return
	}
	a.forgetVolumes(s)
}
