package images

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// The reasons for which a container waits for its image, a kubelet's.
const (
	reasonErrImagePull      = "ErrImagePull"
	ReasonImagePullBackOff  = "ImagePullBackOff"
	ReasonErrImageNeverPull = "ErrImageNeverPull"
	reasonInvalidImageName  = "InvalidImageName"
)

// An image that could not be pulled is tried again after these delays, a kubelet's.
const (
	PullRetryFirst = 10 * time.Second
	pullRetryMax   = 5 * time.Minute
	// pullErrorShown is how long ErrImagePull is shown before ImagePullBackOff.
	pullErrorShown = time.Second
	// pullProgress is how often a pull that takes long tells how far it is.
	pullProgress = 10 * time.Second
	// LocalCheckPeriod is how often an image that cannot be pulled is looked for on the machine:
	// somebody may build it. It is a kubelet's sync period.
	LocalCheckPeriod = 10 * time.Second
	// invalidNameRetry is how often a name that cannot be an image's is looked at again, canceledRetry how soon a pull
	// begins anew that ended with somebody else's context.
	invalidNameRetry = time.Minute
	canceledRetry    = time.Second
)

// State is how far the image of one container is. Only its Pod's worker uses it.
type State struct {
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

// NewState begins with an image of which nothing is known.
func NewState(image string) *State { return &State{image: image} }

// Image is the one that the State is about.
func (s *State) Image() string { return s.image }

// Announcement is the message of the event that tells where the image came from; empty: it was told.
func (s *State) Announcement() string { return s.announce }

// Created notes that a container was created from the image: the next one begins anew.
func (s *State) Created() { *s = State{image: s.image} }

// Ensure says whether the container may be created from its image now. If not it
// says what the container waits for and when to look again (zero: when a pull ends).
// Without a reason to pull it is optimistic: create will tell that an image is missing.
func (m *Images) Ensure(ctx context.Context, pod *v1.Pod, c *v1.Container, s *State) (ready bool, w pods.Waiting, wake time.Time) {
	image, err := withTag(c.Image)
	if err != nil {
		msg := fmt.Sprintf("Failed to apply default image tag %q: %v", c.Image, err)
		m.config.Event(pod, c, v1.EventTypeWarning, "InspectFailed", "%s", msg)
		m.config.Event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", reasonInvalidImageName)
		return false, pods.Waiting{Reason: reasonInvalidImageName, Message: msg}, m.config.Now().Add(invalidNameRetry)
	}
	switch {
	case s.usable:
		return true, pods.Waiting{}, time.Time{}
	case s.pull != nil && !s.pull.ended():
		return false, pods.Waiting{Reason: "ContainerCreating"}, m.recordPullProgress(pod, c, s)
	case s.pull != nil:
		return m.pulled(ctx, pod, c, s)
	case s.delay > 0 && m.config.Now().Before(s.failedAt.Add(s.delay)):
		return m.pullBackOff(ctx, pod, c, s)
	case c.ImagePullPolicy != v1.PullAlways:
		s.announce = fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image)
		return true, pods.Waiting{}, time.Time{}
	}
	m.beginPull(ctx, pod, c, s, image)
	return false, pods.Waiting{Reason: "ContainerCreating"}, s.toldAt.Add(pullProgress)
}

// recordPullProgress says how far a pull is that takes long, and returns when to say so again.
func (m *Images) recordPullProgress(pod *v1.Pod, c *v1.Container, s *State) time.Time {
	if m.config.Now().Before(s.toldAt.Add(pullProgress)) {
		return s.toldAt.Add(pullProgress)
	}
	s.toldAt = m.config.Now()
	if current, total := s.pull.progress(); total > 0 {
		m.config.Event(pod, c, v1.EventTypeNormal, "Pulling", "Pulling image %q: %.1f of %.1f MB so far", c.Image, float64(current)/1e6, float64(total)/1e6)
	}
	return s.toldAt.Add(pullProgress)
}

func (m *Images) beginPull(ctx context.Context, pod *v1.Pod, c *v1.Container, s *State, image string) {
	m.config.Event(pod, c, v1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	ref := pods.RefOf(pod)
	s.backedOff, s.toldAt = false, m.config.Now()
	s.pull = m.puller.request(image, m.credentials(ctx, pod, image), func() { m.config.Changed(ref) })
}

// pulled looks at the result of a pull.
func (m *Images) pulled(ctx context.Context, pod *v1.Pod, c *v1.Container, s *State) (bool, pods.Waiting, time.Time) {
	result := s.pull
	s.pull = nil
	if result.err == nil {
		s.usable, s.delay = true, 0
		s.announce = m.pulledMessage(ctx, c.Image, result)
		return true, pods.Waiting{}, time.Time{}
	}
	if errors.Is(result.err, context.Canceled) {
		return false, pods.Waiting{Reason: "ContainerCreating"}, m.config.Now().Add(canceledRetry)
	}
	if _, err := m.config.Engine.Image(ctx, c.Image); err == nil && c.ImagePullPolicy == v1.PullAlways {
		s.usable, s.delay = true, 0
		s.announce = fmt.Sprintf("Container image %q could not be pulled (%s): using the one already present on machine", c.Image, docker.Words(result.err))
		return true, pods.Waiting{}, time.Time{}
	}
	return m.pullFailed(pod, c, s, result.err)
}

func (m *Images) pullFailed(pod *v1.Pod, c *v1.Container, s *State, err error) (bool, pods.Waiting, time.Time) {
	s.lastErr = docker.Words(err)
	m.config.Event(pod, c, v1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", c.Image, s.lastErr)
	m.config.Event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", reasonErrImagePull)
	s.failedAt = m.config.Now()
	s.delay = min(max(2*s.delay, PullRetryFirst), pullRetryMax)
	return false, pods.Waiting{Reason: reasonErrImagePull, Message: s.lastErr}, s.failedAt.Add(pullErrorShown)
}

// pullBackOff waits for the next pull, or until the image is there without one.
func (m *Images) pullBackOff(ctx context.Context, pod *v1.Pod, c *v1.Container, s *State) (bool, pods.Waiting, time.Time) {
	if _, err := m.config.Engine.Image(ctx, c.Image); err == nil {
		s.usable, s.delay = true, 0
		s.announce = fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image)
		return true, pods.Waiting{}, time.Time{}
	}
	until := s.failedAt.Add(s.delay)
	if look := m.config.Now().Add(LocalCheckPeriod); look.Before(until) {
		until = look
	}
	if m.config.Now().Before(s.failedAt.Add(pullErrorShown)) {
		return false, pods.Waiting{Reason: reasonErrImagePull, Message: s.lastErr}, s.failedAt.Add(pullErrorShown)
	}
	msg := fmt.Sprintf("Back-off pulling image %q", c.Image)
	if !s.backedOff {
		s.backedOff = true
		m.config.Event(pod, c, v1.EventTypeNormal, "BackOff", "%s", msg)
		m.config.Event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", ReasonImagePullBackOff)
	}
	return false, pods.Waiting{Reason: ReasonImagePullBackOff, Message: fmt.Sprintf("%s: %s: %s", msg, reasonErrImagePull, s.lastErr)}, until
}

// Missing is called when the engine found no image to create the container from. It returns what the container waits
// for, be it a pull that begins now, and when to look again.
func (m *Images) Missing(ctx context.Context, pod *v1.Pod, c *v1.Container, s *State) (pods.Waiting, time.Time) {
	s.usable, s.announce = false, ""
	if c.ImagePullPolicy == v1.PullNever {
		msg := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		m.config.Event(pod, c, v1.EventTypeWarning, ReasonErrImageNeverPull, "%s", msg)
		m.config.Event(pod, c, v1.EventTypeWarning, "Failed", "Error: %s", ReasonErrImageNeverPull)
		return pods.Waiting{Reason: ReasonErrImageNeverPull, Message: msg}, m.config.Now().Add(LocalCheckPeriod)
	}
	image, err := withTag(c.Image)
	if err != nil {
		return pods.Waiting{Reason: reasonInvalidImageName, Message: err.Error()}, m.config.Now().Add(invalidNameRetry)
	}
	m.beginPull(ctx, pod, c, s, image)
	return pods.Waiting{Reason: "ContainerCreating"}, s.toldAt.Add(pullProgress)
}

func (m *Images) pulledMessage(ctx context.Context, image string, p *pull) string {
	took := p.took.Truncate(time.Millisecond)
	var found docker.Image
	if i, err := m.config.Engine.Image(ctx, image); err == nil {
		found = i
	}
	return fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.", image, took, took, found.Size)
}

// Awaited tells of a Pod whose status says that it waits for an image that cannot be pulled.
func Awaited(pod *v1.Pod) bool {
	s := pod.Status
	return waitsForImage(s.InitContainerStatuses) || waitsForImage(s.ContainerStatuses) || waitsForImage(s.EphemeralContainerStatuses)
}

func waitsForImage(list []v1.ContainerStatus) bool {
	for _, s := range list {
		if w := s.State.Waiting; w != nil {
			switch w.Reason {
			case ReasonErrImageNeverPull, reasonErrImagePull, ReasonImagePullBackOff:
				return true
			}
		}
	}
	return false
}
