package runtime

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/images"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
)

// An image volume shows an image's files, read-only. Engines older than 28 cannot mount an
// image, so its files are copied into the Pod's directory, the same way on every engine. The
// copy is made once: a container that is started again sees the files that the others see.
// https://kubernetes.io/docs/concepts/storage/volumes/#image

// imageVolumeContainer begins the name of the container that an image's files are read from.
// Its labels make it the Pod's, though of no sandbox: if the daemon crashes meanwhile it is
// discarded like one that was made for a sandbox which is gone. No declared container can
// have such a name: it would be taken for a leftover, and removed.
const imageVolumeContainer = "image-volume."

// volumeImage is the state of a volume's image for one of the containers that mount it.
func (s *podState) volumeImage(c *v1.Container, v v1.Volume) *images.State {
	return s.image(&v1.Container{Name: c.Name + "/" + v.Name, Image: v.Image.Reference})
}

// ensureImageVolumes says whether all of a container's images are there, as ensureImage
// does of its own: a container waits for both for the same reasons.
func (r *pipeline) ensureImageVolumes(ctx context.Context, c *v1.Container) (ready bool, w pods.Waiting, wake time.Time) {
	for _, v := range pods.ImageVolumes(r.pod, c) {
		if ready, w, wake = r.ensureImageVolume(ctx, c, v); !ready {
			return ready, w, wake
		}
	}
	return true, pods.Waiting{}, time.Time{}
}

func (r *pipeline) ensureImageVolume(ctx context.Context, c *v1.Container, v v1.Volume) (bool, pods.Waiting, time.Time) {
	state := r.state.images[c.Name+"/"+v.Name]
	path := r.dirs.Volume(r.pod.UID, v)
	r.unpacking.Lock()
	defer r.unpacking.Unlock()
	if _, err := os.Stat(path); err == nil {
		return true, pods.Waiting{}, time.Time{}
	}
	as := c.DeepCopy()
	as.Image, as.ImagePullPolicy = v.Image.Reference, v.Image.PullPolicy
	if ready, w, wake := r.images.Ensure(ctx, r.pod, as, state); !ready {
		return ready, w, wake
	}
	err := r.copyImage(ctx, r.pod, v, path)
	switch {
	case err == nil:
		r.events.event(r.pod, as, v1.EventTypeNormal, "Pulled", "%s", state.Announcement())
		return true, pods.Waiting{}, time.Time{}
	case docker.IsNotFound(err):
		w, wake := r.images.Missing(ctx, r.pod, as, state)
		return false, w, wake
	}
	r.events.event(r.pod, nil, v1.EventTypeWarning, "FailedMount", "%v", &files.MountError{Volume: v.Name, Step: files.StepSetUp, Err: err})
	return false, pods.Waiting{Reason: "ContainerCreating"}, r.now().Add(configRetry)
}

// copyImage makes path a directory with the image's files.
func (r *pipeline) copyImage(ctx context.Context, pod *v1.Pod, v v1.Volume, path string) error {
	ref := pods.RefOf(pod)
	spec := docker.ContainerSpec{
		Name: pods.DockerName(ref, imageVolumeContainer+v.Name, 0), Image: v.Image.Reference,
		Labels: r.owner.Labels(pod, imageVolumeContainer+v.Name, 0),
	}
	spec.Labels[pods.LabelType] = pods.TypeContainer
	began := r.now()
	return volume.Build(path, func(part string) error {
		return r.engine.ImageFiles(ctx, spec, func(archive io.Reader) error {
			return volume.Untar(&wantedReader{archive, func() error { return r.wanted(ref) }}, part,
				func(h *tar.Header) bool { return docker.IsEngines(h, began) })
		})
	})
}

// wanted says why a Pod's images need not be copied any more; nil: they do.
func (a *Agent) wanted(ref pods.Ref) error {
	if a.stopping.Load() {
		return errors.New("the agent stops")
	}
	if pod := a.declared(ref); pod == nil || pod.DeletionTimestamp != nil {
		return errors.New("the pod is being deleted")
	}
	return nil
}

// wantedReader reads an archive while its Pod is wanted: gigabytes must not keep a Pod from
// being deleted, nor the agent from stopping.
type wantedReader struct {
	io.Reader
	wanted func() error
}

func (r *wantedReader) Read(p []byte) (int, error) {
	if err := r.wanted(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
