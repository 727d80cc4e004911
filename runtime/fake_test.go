package runtime

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

// fakeEngine is Docker in memory: containers have states, names are unique, a container
// needs its image and its network's owner, and everybody who watches is told.
type fakeEngine struct {
	hanging sync.WaitGroup // starts that take long

	mu         sync.Mutex // guards what follows
	containers map[string]*fakeContainer
	named      map[string]*fakeContainer     // the same, by name
	ports      map[netip.Addr]*fakeContainer // who was connected with an address last
	images     map[string]docker.Image       // by reference
	watchers   map[*fakeWatch]struct{}
	imageCame  func()
	netGone    func()
	networks   int // how often the network was made sure of
	down       bool
	closing    bool // answers, but takes no new connection
	made       int
	log        []string // "start k8s_…", in order
	pulls      []string
	pulledWith []docker.Credentials
	report     map[string]func(docker.Progress) // of the last pull of each image
	inspects   int
	lists      int
	tries      int // of creates
	starting   int // now, where starts take long
	most       int // that were starting at once
	updateErr  error
	textReads  int

	// What a test may set before the agent runs.
	pull      func(ctx context.Context, ref string) error                                               // nil: not found in the registry
	progress  *docker.Progress                                                                          // what a pull tells of
	exec      func(ctx context.Context, container string, command []string, out io.Writer) (int, error) // nil: succeeds at once
	startErr  func(docker.ContainerSpec) error
	texts     map[string]string                // of every image, by path
	driver    string                           // of control groups
	readDelay time.Duration                    // how long each piece of an image's files takes
	stopDelay time.Duration                    // how long a container takes to heed a stop
	startHang time.Duration                    // how long each start takes, whether anybody waits for it or not
	createErr func(docker.ContainerSpec) error // the answer to a create that succeeded
	refuse    func(docker.ContainerSpec) error // the answer to one that does nothing
}

type fakeContainer struct {
	docker.Container
	spec    docker.ContainerSpec
	port    docker.BridgePort // where it is connected; zero: nowhere
	written int64             // bytes
	counted time.Duration     // how long it takes to tell what was written
}

func newFakeEngine(images ...string) *fakeEngine {
	f := &fakeEngine{containers: map[string]*fakeContainer{}, named: map[string]*fakeContainer{}, ports: map[netip.Addr]*fakeContainer{}, images: map[string]docker.Image{}, watchers: map[*fakeWatch]struct{}{}}
	for _, ref := range images {
		f.images[ref] = docker.Image{ID: "sha256:" + ref, Tags: []string{ref}, Size: 1000}
	}
	return f
}

var _ engine = (*fakeEngine)(nil)

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
	f.mu.Lock()
	driver := f.driver
	f.mu.Unlock()
	return docker.Info{Version: "20.10.24", CgroupDriver: driver, RootDir: "/", Runtimes: []string{"io.containerd.runc.v2", "runc", "sandboxed"}}, f.Ping(ctx)
}

func (f *fakeEngine) byName(name string) *fakeContainer { return f.named[name] }

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
