package runtime

import (
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// What follows is for tests: it does to Docker what others may do, and looks at what was done.

// failUpdates has changes of resources fail from now on; nil lets them be.
func (f *fakeEngine) failUpdates(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updateErr = err
}

// exit ends a container's process.
func (f *fakeEngine) exit(name string, code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.byName(name)
	if c == nil {
		panic("no container " + name)
	}
	f.finish(c, code)
}

// restart ends a container's process and starts it again, faster than anybody looks.
func (f *fakeEngine) restart(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.byName(name)
	f.finish(c, 0)
	c.Status, c.StartedAt, c.PID = docker.StatusRunning, time.Now(), f.made
	c.port = docker.BridgePort{} // the next one knows nothing of it
	f.tell(c, "start")
}

// outOfMemory ends a container for want of memory as Docker tells it on a busy machine: the
// end first, and then nothing but an event.
func (f *fakeEngine) outOfMemory(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.byName(name)
	f.finish(c, 137)
	f.tell(c, "oom")
}

// lacksMemory tells of a lack of memory around a container that runs, as Docker tells of it
// to all containers of one control group.
func (f *fakeEngine) lacksMemory(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.byName(name)
	f.tell(c, "oom")
}

// change does something to a container behind everybody's back.
func (f *fakeEngine) change(name string, do func(*fakeContainer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.byName(name))
}

// crash is the end of dockerd: the stream breaks and all processes end.
func (f *fakeEngine) crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	for w := range f.watchers {
		close(w.broken)
		delete(f.watchers, w)
	}
	for _, c := range f.containers {
		f.finish(c, 137)
	}
}

func (f *fakeEngine) recover() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.closing = false, false
}

// names are the containers there are, with their status.
func (f *fakeEngine) names() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		out = append(out, c.Name+" "+c.Status)
	}
	slices.Sort(out)
	return out
}

func (f *fakeEngine) get(name string) *fakeContainer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byName(name)
}

// history are the acts since the last call.
func (f *fakeEngine) history() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.log
	f.log = nil
	return out
}

// inspected is how many times a container was read.
func (f *fakeEngine) inspected() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inspects
}
