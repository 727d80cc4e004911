package runtime

import (
	"maps"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Pod that is rejected fails, and its ReplicaSet or StatefulSet makes another one at once, for
// ever: upstream has pauses there only for DaemonSets and Jobs. So the second Pod of one
// controller waits, Pending, before it is rejected, and the next one longer. Each wait holds for
// all of the controller's Pods, however many it wants.
const (
	rejectFirst = time.Second     // as upstream's pause of a DaemonSet
	rejectMost  = 5 * time.Minute // as that of a container that keeps ending
)

// rejections says when the next Pod of a controller may be rejected.
type rejections struct {
	mu   sync.Mutex // guards next
	next map[types.UID]retryState
}

func newRejections() *rejections { return &rejections{next: map[types.UID]retryState{}} }

// take says that a Pod of a controller may be rejected now, and makes the others wait; or else
// until when it has to wait itself.
func (r *rejections) take(controller types.UID, now time.Time) (until time.Time, waits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.next, func(_ types.UID, s retryState) bool { return now.Sub(s.until) > rejectMost })
	s := r.next[controller]
	if now.Before(s.until) {
		return s.until, true
	}
	s.delay = min(max(2*s.delay, rejectFirst), rejectMost)
	s.until = now.Add(s.delay)
	r.next[controller] = s
	return time.Time{}, false
}

// reject ends a Pod that cannot be taken, or has it wait for its turn to end. What is wrong with
// it is told at once either way.
func (a *Agent) reject(pod *v1.Pod, s *podState, r *status.Reason) (wake time.Time) {
	if s.rejected == nil || *s.rejected != *r {
		a.event(pod, nil, v1.EventTypeWarning, r.Reason, "%s", r.Message)
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		if until, waits := a.rejections.take(owner.UID, a.now()); waits {
			s.rejected = r
			return until
		}
	}
	s.rejected = nil
	s.fail(r.Reason, "Pod was rejected: "+r.Message)
	return time.Time{}
}
