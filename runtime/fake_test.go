package runtime

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

// fakeEngine is Docker in memory: containers have states, names are unique, a container
// needs its image and its network's owner, and everybody who watches is told.
type fakeEngine struct {
	mu         sync.Mutex // guards what follows
	containers map[string]*fakeContainer
	images     map[string]docker.Image // by reference
	watchers   map[*fakeWatch]struct{}
	imageCame  func()
	down       bool
	closing    bool // answers, but takes no new connection
	made       int
	log        []string // "start k8s_…", in order
	pulls      []string
	pulledWith []docker.Credentials
	inspects   int
	updateErr  error

	// What a test may set before the agent runs.
	pull      func(ctx context.Context, ref string) error                                               // nil: not found in the registry
	progress  *docker.Progress                                                                          // what a pull tells of
	exec      func(ctx context.Context, container string, command []string, out io.Writer) (int, error) // nil: succeeds at once
	startErr  func(docker.ContainerSpec) error
	readDelay time.Duration // how long each piece of an image's files takes
	stopDelay time.Duration // how long a container takes to heed a stop
}

type fakeContainer struct {
	docker.Container
	spec    docker.ContainerSpec
	written int64         // bytes
	counted time.Duration // how long it takes to tell what was written
}

type fakeWatch struct {
	events chan docker.Event
	broken chan struct{}
}

func newFakeEngine(images ...string) *fakeEngine {
	f := &fakeEngine{containers: map[string]*fakeContainer{}, images: map[string]docker.Image{}, watchers: map[*fakeWatch]struct{}{}}
	for _, ref := range images {
		f.images[ref] = docker.Image{ID: "sha256:" + ref, Tags: []string{ref}, Size: 1000}
	}
	return f
}

var errFakeDown = fmt.Errorf("%w at fake", docker.ErrNoDocker)

func (f *fakeEngine) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errFakeDown
	}
	return nil
}

func (f *fakeEngine) Accepts(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return errFakeDown
	}
	return nil
}

func (f *fakeEngine) Info(ctx context.Context) (docker.Info, error) {
	return docker.Info{Version: "20.10.24", RootDir: "/", Runtimes: []string{"runc", "sandboxed"}}, f.Ping(ctx)
}

func (f *fakeEngine) Create(ctx context.Context, spec docker.ContainerSpec) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return "", errFakeDown
	}
	image, ok := f.images[spec.Image]
	if !ok {
		return "", fmt.Errorf("create container %s: No such image: %s: %w", spec.Name, spec.Image, errdefs.ErrNotFound)
	}
	if f.byName(spec.Name) != nil {
		return "", fmt.Errorf("create container %s: name in use: %w", spec.Name, errdefs.ErrAlreadyExists)
	}
	f.made++
	id := fmt.Sprintf("%064d", f.made)
	f.containers[id] = &fakeContainer{spec: spec, Container: docker.Container{
		ID: id, Name: spec.Name, Image: spec.Image, ImageID: image.ID, Labels: spec.Labels,
		Status: docker.StatusCreated, Created: time.Now(), Resources: spec.Resources,
	}}
	f.log = append(f.log, "create "+spec.Name)
	return id, nil
}

func (f *fakeEngine) Start(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	if f.startErr != nil {
		if err := f.startErr(c.spec); err != nil {
			c.Error, c.ExitCode = err.Error(), 127
			return err
		}
	}
	if owner, ok := cutPrefix(c.spec.Network, "container:"); ok {
		if o := f.containers[owner]; o == nil || !o.Running() {
			c.Error, c.ExitCode = "cannot join network of a non running container", 128
			return errors.New(c.Error)
		}
	} else {
		c.Addrs = map[string]netip.Addr{c.spec.Network: netip.AddrFrom4([4]byte{10, 244, 0, byte(f.made + 1)})}
	}
	c.Status, c.StartedAt, c.PID = docker.StatusRunning, time.Now(), f.made
	f.log = append(f.log, "start "+c.Name)
	f.tell(c, "start")
	return nil
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return "", false
}

func (f *fakeEngine) Stop(ctx context.Context, id string, grace time.Duration) error {
	f.mu.Lock()
	delay := f.stopDelay
	f.mu.Unlock()
	code := 0
	if delay > grace {
		delay, code = grace, 137
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	f.log = append(f.log, "stop "+c.Name)
	f.finish(c, code)
	return nil
}

func (f *fakeEngine) Update(ctx context.Context, id string, r docker.Resources) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	if f.updateErr != nil {
		return f.updateErr
	}
	f.log = append(f.log, "update "+c.Name)
	c.Resources = r
	return nil
}

func (f *fakeEngine) Kill(ctx context.Context, id, _ string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	f.log = append(f.log, "kill "+c.Name)
	f.finish(c, 137)
	return nil
}

func (f *fakeEngine) Remove(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if docker.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	delete(f.containers, c.ID)
	f.log = append(f.log, "remove "+c.Name)
	f.tell(c, "destroy")
	return nil
}

// Exec calls what the test set.
func (f *fakeEngine) Exec(ctx context.Context, id string, command []string, s docker.Streams) (int, error) {
	f.mu.Lock()
	c, err := f.find(id)
	if err == nil && !c.Running() {
		err = fmt.Errorf("container %s is not running: %w", id, errdefs.ErrConflict)
	}
	exec := f.exec
	if err == nil {
		f.log = append(f.log, "exec "+c.Name+" "+strings.Join(command, " "))
	}
	f.mu.Unlock()
	if err != nil || exec == nil {
		return 0, err
	}
	return exec(ctx, c.Name, command, s.Out)
}

// Tail is the end of what every fake container says.
func (f *fakeEngine) Tail(_ context.Context, id string, _ int64, limit int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return "", err
	}
	text := "last words of " + c.Name + "\n"
	return text[max(0, len(text)-limit):], nil
}

func (f *fakeEngine) Inspect(ctx context.Context, id string) (docker.Container, error) {
	if ctx.Err() != nil {
		return docker.Container{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inspects++
	c, err := f.find(id)
	if err != nil {
		return docker.Container{}, err
	}
	out := c.Container
	out.Addrs = maps.Clone(c.Addrs)
	return out, nil
}

func (f *fakeEngine) Written(_ context.Context, id string) (int64, error) {
	f.mu.Lock()
	c, err := f.find(id)
	if err != nil {
		f.mu.Unlock()
		return 0, err
	}
	written, counted := c.written, c.counted
	f.mu.Unlock()
	time.Sleep(counted)
	return written, nil
}

func (f *fakeEngine) List(ctx context.Context, labels map[string]string) ([]docker.Container, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errFakeDown
	}
	var out []docker.Container
	for _, c := range f.containers {
		matches := true
		for k, v := range labels {
			matches = matches && c.Labels[k] == v
		}
		if matches {
			out = append(out, c.Container)
		}
	}
	return out, nil
}

// Watch is the real one's loop without its delays: it waits for the engine instead.
func (f *fakeEngine) Watch(ctx context.Context, _ map[string]string, w docker.Watcher) {
	for ctx.Err() == nil {
		if err := f.Ping(ctx); err != nil {
			w.Disconnected(err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		watch := &fakeWatch{events: make(chan docker.Event, 1000), broken: make(chan struct{})}
		f.mu.Lock()
		f.watchers[watch] = struct{}{}
		f.mu.Unlock()
		w.Connected()
		f.pump(ctx, watch, w)
	}
}

func (f *fakeEngine) pump(ctx context.Context, watch *fakeWatch, w docker.Watcher) {
	for {
		select {
		case e := <-watch.events:
			w.Event(e)
		case <-watch.broken:
			w.Disconnected(errFakeDown)
			return
		case <-ctx.Done():
			return
		}
	}
}

func (f *fakeEngine) Image(_ context.Context, ref string) (docker.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return docker.Image{}, errFakeDown
	}
	for name, i := range f.images {
		if name == ref || i.ID == ref {
			return i, nil
		}
	}
	return docker.Image{}, fmt.Errorf("inspect image %s: %w", ref, errdefs.ErrNotFound)
}

func (f *fakeEngine) Pull(ctx context.Context, ref string, opts docker.PullOptions) error {
	f.mu.Lock()
	f.pulls = append(f.pulls, ref)
	f.pulledWith = append(f.pulledWith, opts.Credentials)
	if f.progress != nil {
		opts.Progress(*f.progress)
	}
	pull := f.pull
	f.mu.Unlock()
	if pull == nil {
		return fmt.Errorf("pull image %s: manifest unknown: %w", ref, errdefs.ErrNotFound)
	}
	if err := pull(ctx, ref); err != nil {
		return err
	}
	f.build(ref)
	return nil
}

func (f *fakeEngine) Load(_ context.Context, archive io.Reader) error {
	_, err := io.Copy(io.Discard, archive)
	return err
}

func (f *fakeEngine) WatchImages(ctx context.Context, came func()) {
	f.mu.Lock()
	f.imageCame = came
	f.mu.Unlock()
	<-ctx.Done()
}

// ImageFiles gives an archive of one file, whose content is the reference.
func (f *fakeEngine) ImageFiles(ctx context.Context, spec docker.ContainerSpec, read func(io.Reader) error) error {
	if err := f.Remove(ctx, spec.Name); err != nil {
		return err
	}
	if _, err := f.Image(ctx, spec.Image); err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "ref", Mode: 0o640, Size: int64(len(spec.Image)), Uid: os.Getuid(), Gid: os.Getgid()}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, spec.Image); err != nil {
		return err
	}
	return errors.Join(w.Close(), read(&slowReader{&archive, f.readDelay}))
}

// slowReader gives a few bytes at a time.
type slowReader struct {
	io.Reader
	delay time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.delay > 0 {
		time.Sleep(r.delay)
		p = p[:1]
	}
	return r.Reader.Read(p)
}

// What follows is for tests: it does to Docker what others may do.

// failUpdates has changes of resources fail from now on; nil lets them be.
func (f *fakeEngine) failUpdates(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updateErr = err
}

// inspected is how many times a container was read.
func (f *fakeEngine) inspected() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inspects
}

// pulled are the images that were asked for, in order.
func (f *fakeEngine) pulled() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.pulls)
}

// build puts an image into the store.
func (f *fakeEngine) build(ref string) {
	f.mu.Lock()
	f.images[ref] = docker.Image{ID: "sha256:" + ref, Tags: []string{ref}, Size: 1000}
	came := f.imageCame
	f.mu.Unlock()
	if came != nil {
		came()
	}
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

// restart is a restart of dockerd: the stream breaks and all processes end.
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

// outOfMemory ends a container for want of memory as Docker tells it on a busy machine: the
// end first, and then nothing but an event.
func (f *fakeEngine) outOfMemory(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.byName(name)
	f.finish(c, 137)
	f.tell(c, "oom")
}

// change does something to a container behind everybody's back.
func (f *fakeEngine) change(name string, do func(*fakeContainer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.byName(name))
}

// history are the acts since the last call.
func (f *fakeEngine) history() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.log
	f.log = nil
	return out
}

func (f *fakeEngine) byName(name string) *fakeContainer {
	for _, c := range f.containers {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (f *fakeEngine) find(id string) (*fakeContainer, error) {
	if f.down {
		return nil, errFakeDown
	}
	c := cmp.Or(f.containers[id], f.byName(id))
	if c == nil {
		return nil, fmt.Errorf("container %s: %w", id, errdefs.ErrNotFound)
	}
	return c, nil
}

func (f *fakeEngine) finish(c *fakeContainer, code int) {
	if !c.Running() {
		return
	}
	c.Status, c.ExitCode, c.FinishedAt, c.PID = docker.StatusExited, code, time.Now(), 0
	f.tell(c, "die")
}

func (f *fakeEngine) tell(c *fakeContainer, action string) {
	for w := range f.watchers {
		w.events <- docker.Event{ID: c.ID, Action: action, Labels: c.Labels, Time: time.Now()}
	}
}

var _ engine = (*fakeEngine)(nil)

// failStart makes the containers of one name fail to start.
func failStart(container, message string) func(docker.ContainerSpec) error {
	return func(spec docker.ContainerSpec) error {
		if spec.Labels[labelContainer] == container {
			return errors.New(message)
		}
		return nil
	}
}
