package limits

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A Pod that is rejected fails, and its ReplicaSet or StatefulSet makes another one at once, for
// ever: upstream has pauses there only for DaemonSets and Jobs. So the second Pod of one
// controller waits, Pending, before it is rejected, and the next one longer. Each wait holds for
// all of the controller's Pods, however many it wants.
const (
	// RejectFirst is the first wait.
	RejectFirst = time.Second     // as upstream's pause of a DaemonSet
	rejectMost  = 5 * time.Minute // as that of a container that keeps ending
)

// Rejections says when the next Pod of a controller may be rejected. Make it with NewRejections.
type Rejections struct {
	mu   sync.Mutex // guards next
	next map[types.UID]rejection
}

// rejection is when the next one may follow, and how long that was after this one.
type rejection struct {
	delay time.Duration
	until time.Time
}

// NewRejections makes one that knows of no rejection yet.
func NewRejections() *Rejections { return &Rejections{next: map[types.UID]rejection{}} }

// Take says that a Pod of a controller may be rejected now, and makes the others wait; or else
// until when it has to wait itself.
func (r *Rejections) Take(controller types.UID, now time.Time) (until time.Time, waits bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.next, func(_ types.UID, s rejection) bool { return now.Sub(s.until) > rejectMost })
	s := r.next[controller]
	if now.Before(s.until) {
		return s.until, true
	}
	s.delay = min(max(2*s.delay, RejectFirst), rejectMost)
	s.until = now.Add(s.delay)
	r.next[controller] = s
	return time.Time{}, false
}
