package runtime

import (
	"sync/atomic"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/images"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
)

// podState is what a worker remembers of a Pod between two syncs. All of it can be
// lost: it spares repetition and, renewed aside, decides nothing for good.
type podState struct {
	ref pods.Ref
	// waiting says why a container does not run, by container name.
	waiting map[string]pods.Waiting
	// images is the progress of each container's image, by container name.
	images map[string]*images.State
	// stops are the containers on their way to their end, by ID.
	stops map[string]*stopping
	// renewed are the containers, by ID, that were ended to be started anew. Those that end
	// while no agent runs are restarted as their exit codes say, as by a kubelet.
	renewed map[string]bool
	// alive are the containers that ran at the last look, by ID.
	alive map[string]bool
	// startsAfter is until when nothing is started because somebody else killed or removed containers.
	startsAfter time.Time
	// hooks are the postStart hooks that were run, by container ID.
	hooks map[string]*hook
	// preCreated is what the containers that were created before their turn are made of, by ID.
	preCreated map[string]docker.ContainerSpec
	// retry grows with each failed attempt at the sandbox or a container, by name.
	retry map[string]retryState
	// warned are the fields that were named in events because they are not supported.
	warned map[string]bool
	// warnedAt is the Pod's generation then.
	warnedAt int64
	// projected are the files that were written to the volumes which follow API objects.
	projected map[string]volume.Files
	// outdated says why the files of such a volume cannot be written anew, by its name.
	outdated map[string]string
	// persistent are the volumes behind the Pod's claims that are mounted, by the volume's name.
	persistent map[string]files.Persistent
	// prepared says that the Pod's directories and files exist.
	prepared bool
	// ended says that the status which tells how a deleted Pod ended was reported.
	ended bool
	// logEnds are the ends of logs that serve as termination messages, by container ID.
	logEnds map[string]string
	// failure ends the Pod; nil: nothing does.
	failure *pods.Reason
	// rejected is why the Pod waits to be rejected; without a reason: it was admitted after all; nil:
	// it did not wait.
	rejected *pods.Reason
	// resize is how far a change of the Pod's resources is.
	resize resizeState
	// bounds are those of its control group.
	bounds podBounds
	// last is the newest version of the Pod, for the grace period and the events of its end. The informer's handler
	// stores it too: an older one would stay in memory beside it.
	last atomic.Pointer[v1.Pod]
}

// retryState is an exponential delay.
type retryState struct {
	delay time.Duration
	until time.Time
}

// What fails is tried again after a second, then after twice as long each time.
const (
	retryFirst = time.Second
	retryMax   = time.Minute
)

func newPodState(ref pods.Ref) *podState {
	return &podState{
		ref: ref, waiting: map[string]pods.Waiting{}, images: map[string]*images.State{},
		preCreated: map[string]docker.ContainerSpec{}, stops: map[string]*stopping{}, renewed: map[string]bool{},
		hooks: map[string]*hook{}, logEnds: map[string]string{}, retry: map[string]retryState{},
		projected: map[string]volume.Files{}, outdated: map[string]string{}, persistent: map[string]files.Persistent{},
		warned: map[string]bool{}, warnedAt: -1,
		resize: resizeState{applied: map[string]appliedResources{}},
	}
}

// failed notes a failed attempt at what, and returns when to try again.
func (s *podState) failed(what string, now time.Time) time.Time {
	r := s.retry[what]
	r.delay = min(max(2*r.delay, retryFirst), retryMax)
	r.until = now.Add(r.delay)
	s.retry[what] = r
	return r.until
}

// succeeded forgets earlier failures at what.
func (s *podState) succeeded(what string) { delete(s.retry, what) }

// held tells until when what must not be tried, if it must not be tried now.
func (s *podState) held(what string, now time.Time) (time.Time, bool) {
	r, ok := s.retry[what]
	return r.until, ok && now.Before(r.until)
}

// image returns the state of a container's image, new if another image is declared now.
func (s *podState) image(c *v1.Container) *images.State {
	i := s.images[c.Name]
	if i == nil || i.Image() != c.Image {
		i = images.NewState(c.Image)
		s.images[c.Name] = i
	}
	return i
}

// note makes failures of a container's own wait longer each time.
func (s *podState) note(o outcome, now time.Time) {
	switch {
	case o.waiting.Reason == "":
		s.succeeded(o.container)
	case o.repeats || o.waiting.Reason == "CreateContainerError":
		s.failed(o.container, now)
	}
}
