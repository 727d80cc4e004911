package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// The reasons for which a container waits for its image.
const (
	reasonErrImagePull      = "ErrImagePull"
	reasonImagePullBackOff  = "ImagePullBackOff"
	reasonErrImageNeverPull = "ErrImageNeverPull"
	reasonInvalidImageName  = "InvalidImageName"
)

// An image that could not be pulled is tried again after these delays, a kubelet's.
const (
	pullRetryFirst = 10 * time.Second
	pullRetryMax   = 5 * time.Minute
	// pullErrorShown is how long ErrImagePull is shown before ImagePullBackOff.
	pullErrorShown = time.Second
	// pullProgress is how often a pull that takes long tells how far it is.
	pullProgress = 10 * time.Second
	// localLook is how often an image that cannot be pulled is looked for on the machine:
	// somebody may build it. It is a kubelet's sync period.
	localLook = 10 * time.Second
)

// imageState is how far a container's image is.
type imageState struct {
	image     string // the one that all this is about
	pull      *pull
	announce  string        // the message of the event Pulled, sent when the container is created
	usable    bool          // the image was pulled, or the local one has to do
	lastErr   string        // of the last pull
	delay     time.Duration // until the next pull
	failedAt  time.Time
	backedOff bool      // the event BackOff was sent
	toldAt    time.Time // when an event last told of the pull under way
}

// ensureImage says whether the container may be created from its image now. If not it
// says what the container waits for and when to look again (zero: when a pull ends).
// Without a reason to pull it is optimistic: create will tell that an image is missing.
func (a *Agent) ensureImage(ctx context.Context, pod *v1.Pod, c *v1.Container, s *imageState) (ready bool, w pods.Waiting, wake time.Time) {
	image, err := withTag(c.Image)
	if err != nil {
		msg := fmt.Sprintf("Failed to apply default image tag %q: %v", c.Image, err)
		a.event(pod, c, v1.EventTypeWarning, "InspectFailed", "%s", msg)
		a.event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", reasonInvalidImageName)
		return false, pods.Waiting{Reason: reasonInvalidImageName, Message: msg}, a.now().Add(retryMax)
	}
	switch {
	case s.usable:
		return true, pods.Waiting{}, time.Time{}
	case s.pull != nil && !s.pull.ended():
		return false, pods.Waiting{Reason: "ContainerCreating"}, a.recordPullProgress(pod, c, s)
	case s.pull != nil:
		return a.pulled(ctx, pod, c, s)
	case s.delay > 0 && a.now().Before(s.failedAt.Add(s.delay)):
		return a.pullBackOff(ctx, pod, c, s)
	case c.ImagePullPolicy != v1.PullAlways:
		s.announce = fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image)
		return true, pods.Waiting{}, time.Time{}
	}
	a.beginPull(ctx, pod, c, s, image)
	return false, pods.Waiting{Reason: "ContainerCreating"}, s.toldAt.Add(pullProgress)
}

// recordPullProgress says how far a pull is that takes long, and returns when to say so again.
func (a *Agent) recordPullProgress(pod *v1.Pod, c *v1.Container, s *imageState) time.Time {
	if a.now().Before(s.toldAt.Add(pullProgress)) {
		return s.toldAt.Add(pullProgress)
	}
	s.toldAt = a.now()
	if current, total := s.pull.progress(); total > 0 {
		a.event(pod, c, v1.EventTypeNormal, "Pulling", "Pulling image %q: %.1f of %.1f MB so far", c.Image, float64(current)/1e6, float64(total)/1e6)
	}
	return s.toldAt.Add(pullProgress)
}

func (a *Agent) beginPull(ctx context.Context, pod *v1.Pod, c *v1.Container, s *imageState, image string) {
	a.event(pod, c, v1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	ref := pods.RefOf(pod)
	s.backedOff, s.toldAt = false, a.now()
	s.pull = a.puller.request(image, a.credentials(ctx, pod, image), func() { a.workers.enqueue(ref) })
}

// pulled looks at the result of a pull.
func (a *Agent) pulled(ctx context.Context, pod *v1.Pod, c *v1.Container, s *imageState) (bool, pods.Waiting, time.Time) {
	result := s.pull
	s.pull = nil
	if result.err == nil {
		s.usable, s.delay = true, 0
		s.announce = a.pulledMessage(ctx, c.Image, result)
		return true, pods.Waiting{}, time.Time{}
	}
	if errors.Is(result.err, context.Canceled) {
		return false, pods.Waiting{Reason: "ContainerCreating"}, a.now().Add(retryFirst)
	}
	if _, err := a.engine.Image(ctx, c.Image); err == nil && c.ImagePullPolicy == v1.PullAlways {
		s.usable, s.delay = true, 0
		s.announce = fmt.Sprintf("Container image %q could not be pulled (%s): using the one already present on machine", c.Image, docker.Words(result.err))
		return true, pods.Waiting{}, time.Time{}
	}
	return a.pullFailed(pod, c, s, result.err)
}

func (a *Agent) pullFailed(pod *v1.Pod, c *v1.Container, s *imageState, err error) (bool, pods.Waiting, time.Time) {
	s.lastErr = docker.Words(err)
	a.event(pod, c, v1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", c.Image, s.lastErr)
	a.event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", reasonErrImagePull)
	s.failedAt = a.now()
	s.delay = min(max(2*s.delay, pullRetryFirst), pullRetryMax)
	return false, pods.Waiting{Reason: reasonErrImagePull, Message: s.lastErr}, s.failedAt.Add(pullErrorShown)
}

// pullBackOff waits for the next pull, or until the image is there without one.
func (a *Agent) pullBackOff(ctx context.Context, pod *v1.Pod, c *v1.Container, s *imageState) (bool, pods.Waiting, time.Time) {
	if _, err := a.engine.Image(ctx, c.Image); err == nil {
		s.usable, s.delay = true, 0
		s.announce = fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image)
		return true, pods.Waiting{}, time.Time{}
	}
	until := earliest(s.failedAt.Add(s.delay), a.now().Add(localLook))
	if a.now().Before(s.failedAt.Add(pullErrorShown)) {
		return false, pods.Waiting{Reason: reasonErrImagePull, Message: s.lastErr}, s.failedAt.Add(pullErrorShown)
	}
	msg := fmt.Sprintf("Back-off pulling image %q", c.Image)
	if !s.backedOff {
		s.backedOff = true
		a.event(pod, c, v1.EventTypeNormal, "BackOff", "%s", msg)
		a.event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", reasonImagePullBackOff)
	}
	return false, pods.Waiting{Reason: reasonImagePullBackOff, Message: fmt.Sprintf("%s: %s: %s", msg, reasonErrImagePull, s.lastErr)}, until
}

// missingImage is called when create found no image: it is pulled, or must not be.
func (a *Agent) missingImage(ctx context.Context, pod *v1.Pod, c *v1.Container, s *imageState) (pods.Waiting, time.Time) {
	s.usable, s.announce = false, ""
	if c.ImagePullPolicy == v1.PullNever {
		msg := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		a.event(pod, c, v1.EventTypeWarning, reasonErrImageNeverPull, "%s", msg)
		a.event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", reasonErrImageNeverPull)
		return pods.Waiting{Reason: reasonErrImageNeverPull, Message: msg}, a.now().Add(localLook)
	}
	image, err := withTag(c.Image)
	if err != nil {
		return pods.Waiting{Reason: reasonInvalidImageName, Message: err.Error()}, a.now().Add(retryMax)
	}
	a.beginPull(ctx, pod, c, s, image)
	return pods.Waiting{Reason: "ContainerCreating"}, s.toldAt.Add(pullProgress)
}

func (a *Agent) pulledMessage(ctx context.Context, image string, p *pull) string {
	took := p.took.Truncate(time.Millisecond)
	var found docker.Image
	if i, err := a.engine.Image(ctx, image); err == nil {
		found = i
	}
	return fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.", image, took, took, found.Size)
}
