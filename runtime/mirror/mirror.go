package mirror

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
)

// Mirror is what Docker has of this instance, kept current by Docker's events and by our own acts. It is to containers
// what an informer is to API objects: readers never ask Docker. It implements docker.Watcher.
type Mirror struct {
	// Changed is called with each Pod of which a container came, changed or went; set it before Run.
	Changed func(pods.Ref)
	// Linked is told when the picture is whole, and when it cannot be kept; set it before Run.
	Linked func(connected bool, err error)
	// Cgroups is where the kernel tells of processes and their memory; the zero value is this machine's.
	Cgroups usage.Cgroups

	engine Engine
	owner  pods.Owner
	log    *slog.Logger

	dirty       workqueue.TypedInterface[string] // IDs of containers to read again
	relist      chan struct{}
	resyncRetry chan struct{} // something could not be read
	// retryAfter is how long after a failure everything is read again.
	retryAfter time.Duration

	mu         sync.Mutex // guards what follows
	containers index
	seq        uint64              // orders reads of the engine
	starting   map[string]struct{} // IDs that we start right now, and read ourselves then
	removing   map[string]struct{} // IDs that we remove right now, and forget then
	synced     bool                // a full list was read since the stream was opened
}

// resyncRetryAfter is how long after a failure everything is read again.
const resyncRetryAfter = 10 * time.Second

// Engine is what is asked of Docker: *docker.Engine.
type Engine interface {
	Inspect(ctx context.Context, id string) (docker.Container, error)
	List(ctx context.Context, labels map[string]string) ([]docker.Container, error)
	Watch(ctx context.Context, labels map[string]string, w docker.Watcher)
}

// entry is a container and the time it was read, on the clock of mirror.seq.
type entry struct {
	pods.Instance
	seq    uint64
	memory oomReport
}

// New is a Mirror of an owner's containers. It shows none before Run.
func New(e Engine, owner pods.Owner, log *slog.Logger) *Mirror {
	return &Mirror{
		engine: e, owner: owner, log: log,
		Changed:     func(pods.Ref) {},
		Linked:      func(bool, error) {},
		dirty:       workqueue.NewTyped[string](),
		relist:      make(chan struct{}, 1),
		resyncRetry: make(chan struct{}, 1),
		retryAfter:  resyncRetryAfter,
		containers:  newIndex(), starting: map[string]struct{}{}, removing: map[string]struct{}{},
	}
}

// Event implements docker.Watcher.
func (m *Mirror) Event(e docker.Event) {
	if !m.owner.Has(e.Labels) {
		return
	}
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
func (m *Mirror) noteSuccess(e docker.Event) {
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
	m.Changed(ended.Pod)
}

// knowsStart tells that the event of a start has nothing to say: the container was read
// since, or will be.
func (m *Mirror) knowsStart(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ours := m.starting[id]
	e := m.containers.byID[id]
	return ours || e != nil && e.Running()
}

// Start runs the start of a container and the caller's look at it: the event that
// comes meanwhile need not look. An engine that starts thirty containers has better to do
// than to answer twice for each.
func (m *Mirror) Start(id string, start func() error) error {
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

// Remove runs the removal of a container, after which there is nothing to read.
func (m *Mirror) Remove(id string, remove func() error) error {
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

func (m *Mirror) isRemoving(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ours := m.removing[id]
	return ours
}

// Ready tells whether the mirror shows all that Docker has.
func (m *Mirror) Ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.synced
}

// Pod returns the Pod's containers, dead ones too, oldest attempt first.
func (m *Mirror) Pod(uid types.UID) []pods.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.containers.byPod[uid]
	out := make([]pods.Instance, len(list))
	for n, e := range list {
		out[n] = e.Instance
	}
	return out
}

// Running are the containers of all Pods that run, and their sandboxes.
func (m *Mirror) Running() (containers, sandboxes []pods.Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pods.Instance
	for _, e := range m.containers.byID {
		all = append(all, e.Instance)
	}
	return pods.Split(pods.Running(all))
}

// Refs returns every Pod that has a container.
func (m *Mirror) Refs() map[types.UID]pods.Ref {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[types.UID]pods.Ref{}
	for _, e := range m.containers.byID {
		out[e.Pod.UID] = e.Pod
	}
	return out
}

// Get returns one container as last read.
func (m *Mirror) Get(id string) (pods.Instance, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.containers.byID[id]
	if !ok {
		return pods.Instance{}, false
	}
	return e.Instance, true
}

// Created notes a container that we just made, before Docker says so.
func (m *Mirror) Created(c docker.Container) {
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
func (m *Mirror) forget(id string) {
	m.mu.Lock()
	e, ok := m.containers.remove(id)
	m.mu.Unlock()
	if ok {
		m.Changed(e.Pod)
	}
}

// store keeps what was read, unless a later read was faster.
func (m *Mirror) store(i pods.Instance, seq uint64) {
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
	i.OOMKilled = report.oomKilled(i)
	m.containers.put(&entry{Instance: i, seq: seq, memory: report})
	m.mu.Unlock()
	m.Changed(i.Pod)
}

// ids returns the containers known at this moment.
func (m *Mirror) ids() map[string]struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]struct{}, len(m.containers.byID))
	for id := range m.containers.byID {
		out[id] = struct{}{}
	}
	return out
}
