package runtime

import (
	"log/slog"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
)

// mirror is what Docker has of this instance, kept current by Docker's events and
// by our own acts. It is to containers what an informer is to API objects: readers
// never ask Docker. A change wakes the Pod it belongs to.
type mirror struct {
	engine      containerEngine
	labels      map[string]string
	log         *slog.Logger
	changed     func(pods.Ref)
	linked      func(connected bool, err error)
	dirty       workqueue.TypedInterface[string] // IDs of containers to read again
	relist      chan struct{}
	resyncRetry chan struct{} // something could not be read
	// retryAfter is how long after a failure everything is read again.
	retryAfter time.Duration
	cgroups    usage.Cgroups

	mu         sync.Mutex // guards what follows
	containers index
	seq        uint64              // orders reads of the engine
	starting   map[string]struct{} // IDs that we start right now, and read ourselves then
	removing   map[string]struct{} // IDs that we remove right now, and forget then
	synced     bool                // a full list was read since the stream was opened
}

// entry is a container and the time it was read, on the clock of mirror.seq.
type entry struct {
	pods.Instance
	seq    uint64
	memory oomReport
}

func newMirror(e containerEngine, instanceName string, log *slog.Logger) *mirror {
	return &mirror{
		engine: e, labels: docker.InstanceLabel(instanceName), log: log,
		changed:     func(pods.Ref) {},
		linked:      func(bool, error) {},
		dirty:       workqueue.NewTyped[string](),
		relist:      make(chan struct{}, 1),
		resyncRetry: make(chan struct{}, 1),
		retryAfter:  unavailableRetry,
		containers:  newIndex(), starting: map[string]struct{}{}, removing: map[string]struct{}{},
	}
}

// Event implements docker.Watcher.
func (m *mirror) Event(e docker.Event) {
	switch e.Action {
	case "destroy":
		m.forget(e.ID)
		return
	case "start":
		if m.knowsStart(e.ID) {
			return
		}
	case "die":
		if m.isRemoving(e.ID) {
			return
		}
		m.noteSuccess(e)
	case "oom":
		m.noteOOM(e.ID)
	}
	m.dirty.Add(e.ID)
}

// noteSuccess takes an event's word for the end of a container that ended well. Docker lets
// nobody read a container before it has cleaned up after it, and what follows an init
// container need not wait for that. Why another one failed only reading it can tell.
func (m *mirror) noteSuccess(e docker.Event) {
	m.mu.Lock()
	old := m.containers.byID[e.ID]
	if e.ExitCode != 0 || old == nil || !old.Running() || old.IsSandbox() {
		m.mu.Unlock()
		return
	}
	m.seq++
	ended := *old
	ended.seq, ended.Status, ended.PID, ended.FinishedAt = m.seq, docker.StatusExited, 0, e.Time
	m.containers.put(&ended)
	m.mu.Unlock()
	m.changed(ended.Pod)
}

// knowsStart tells that the event of a start has nothing to say: the container was read
// since, or will be.
func (m *mirror) knowsStart(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ours := m.starting[id]
	e := m.containers.byID[id]
	return ours || e != nil && e.Running()
}

// start runs the start of a container, after which the caller reads it: the event that
// comes meanwhile need not. An engine that starts thirty containers has better to do
// than to answer twice for each.
func (m *mirror) start(id string, start func() error) error {
	m.mu.Lock()
	m.starting[id] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.starting, id)
		m.mu.Unlock()
	}()
	return start()
}

// remove runs the removal of a container, after which there is nothing to read.
func (m *mirror) remove(id string, remove func() error) error {
	m.mu.Lock()
	m.removing[id] = struct{}{}
	m.mu.Unlock()
	err := remove()
	m.mu.Lock()
	delete(m.removing, id)
	m.mu.Unlock()
	if err != nil {
		m.dirty.Add(id) // it may have ended, and its event was ignored
		return err
	}
	m.forget(id)
	return nil
}

func (m *mirror) isRemoving(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ours := m.removing[id]
	return ours
}

// ready tells whether the mirror shows all that Docker has.
func (m *mirror) ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.synced
}

// pod returns the Pod's containers, dead ones too, oldest attempt first.
func (m *mirror) pod(uid types.UID) []pods.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.containers.byPod[uid]
	out := make([]pods.Instance, len(list))
	for n, e := range list {
		out[n] = e.Instance
	}
	return out
}

// running are the containers of all Pods that run, and their sandboxes.
func (m *mirror) running() (containers, sandboxes []pods.Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pods.Instance
	for _, e := range m.containers.byID {
		all = append(all, e.Instance)
	}
	return pods.Split(pods.Running(all))
}

// refs returns every Pod that has a container.
func (m *mirror) refs() map[types.UID]pods.Ref {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[types.UID]pods.Ref{}
	for _, e := range m.containers.byID {
		out[e.Pod.UID] = e.Pod
	}
	return out
}

// get returns one container as last read.
func (m *mirror) get(id string) (pods.Instance, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.containers.byID[id]
	if !ok {
		return pods.Instance{}, false
	}
	return e.Instance, true
}

// created notes a container that we just made, before Docker says so.
func (m *mirror) created(c docker.Container) {
	i, ok := pods.InstanceOf(c)
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.containers.byID[c.ID]; !known {
		m.containers.put(&entry{Instance: i})
	}
}

// forget drops a container that is gone.
func (m *mirror) forget(id string) {
	m.mu.Lock()
	e, ok := m.containers.remove(id)
	m.mu.Unlock()
	if ok {
		m.changed(e.Pod)
	}
}

// store keeps what was read, unless a later read was faster.
func (m *mirror) store(i pods.Instance, seq uint64) {
	m.mu.Lock()
	old := m.containers.byID[i.ID]
	if old != nil && old.seq > seq {
		m.mu.Unlock()
		return
	}
	var report oomReport
	if old != nil {
		report = old.memory
	}
	i.OOMKilled = report.killed(i)
	m.containers.put(&entry{Instance: i, seq: seq, memory: report})
	m.mu.Unlock()
	m.changed(i.Pod)
}

// ids returns the containers known at this moment.
func (m *mirror) ids() map[string]struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]struct{}, len(m.containers.byID))
	for id := range m.containers.byID {
		out[id] = struct{}{}
	}
	return out
}
