package streaming

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// streamDeadline is when a streaming test gives up waiting, on a machine that is
// busy with other tests.
const streamDeadline = 30 * time.Second

// sandboxName is the container of a rig's Pod that is its sandbox.
const sandboxName = "POD"

// rig is a Server before a real Docker Engine, behind a real HTTP server,
// for one Pod "web" in namespace "default". Each container that it starts is one of
// that Pod's.
type rig struct {
	engine  *docker.Engine
	server  *Server
	url     string
	image   string
	stop    context.CancelFunc // ends the server's run
	stopped chan struct{}

	mu  sync.Mutex // guards what follows
	pod *corev1.Pod
	ids map[string]string // of running containers, by name in the Pod
}

func newRig(t *testing.T) *rig {
	t.Helper()
	engine, err := docker.Connect(t.Context(), "", nil)
	if err != nil {
		t.Skipf("needs Docker: %v", err)
	}
	t.Cleanup(func() { engine.Close() })
	unique := fmt.Sprintf("streams-%d-%d", os.Getpid(), time.Now().UnixNano())
	r := &rig{
		engine: engine, image: "kube-lite-test/" + unique + ":talker", stopped: make(chan struct{}),
		ids: map[string]string{},
		pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: types.UID(unique)}},
	}
	r.importTalker(t)
	r.server = New(engine, r, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { defer close(r.stopped); _ = r.server.Run(ctx) }()
	server := httptest.NewServer(r.server)
	r.url = server.URL
	t.Cleanup(func() { r.checkEnd(t); server.Close() })
	return r
}

// end stops the server, whose run must then end all sessions and wait for them.
func (r *rig) end(t *testing.T) {
	t.Helper()
	r.stop()
	within(t, "the server's run to end", func() bool {
		select {
		case <-r.stopped:
			return true
		default:
			return false
		}
	})
}

// checkEnd ends the server and makes sure that no goroutine of ours is left.
func (r *rig) checkEnd(t *testing.T) {
	r.end(t)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:goruntime.Stack(stacks, true)]
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		for _, ours := range []string{"streaming.(*Server)", "(*commandSession)", "(*forwarder)", "docker.Streams"} {
			if strings.Contains(stack, ours) && !strings.Contains(stack, "checkEnd") {
				t.Errorf("a goroutine outlives the server:\n%s", stack)
			}
		}
	}
}

// importTalker builds ../testdata/talker and makes an image of it.
func (r *rig) importTalker(t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "talker")
	build := exec.Command("go", "build", "-o", binary, "../testdata/talker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build talker: %v\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "talker", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(program)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.Import(t.Context(), &archive, r.image, `ENTRYPOINT ["/talker"]`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.engine.RemoveImage(context.Background(), r.image, true); err != nil {
			t.Error(err)
		}
	})
}

// start runs talker as a container of the Pod. The name sandboxName makes it the
// sandbox.
func (r *rig) start(t *testing.T, name string, spec docker.ContainerSpec, args ...string) string {
	t.Helper()
	return r.startAfter(t, func(string) {}, name, spec, args...)
}

// startHeld runs talker with its output held for the first client.
func (r *rig) startHeld(t *testing.T, name string, spec docker.ContainerSpec, args ...string) string {
	t.Helper()
	return r.startAfter(t, func(id string) {
		if err := r.server.Hold(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}, name, spec, args...)
}

func (r *rig) startAfter(t *testing.T, before func(id string), name string, spec docker.ContainerSpec, args ...string) string {
	t.Helper()
	spec.Name = fmt.Sprintf("k8s_%s_%s_%d", name, r.pod.UID, time.Now().UnixNano())
	spec.Image, spec.Cmd, spec.Network = r.image, args, "none"
	spec.Labels = docker.InstanceLabel(string(r.pod.UID))
	id, err := r.engine.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.engine.Remove(context.Background(), id); err != nil {
			t.Error(err)
		}
	})
	before(id)
	if err := r.engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.setStatus(name, id, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	return id
}

// finish waits for a container to end and notes that in the Pod's status.
func (r *rig) finish(t *testing.T, name, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), streamDeadline)
	defer cancel()
	if _, err := r.engine.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	r.setStatus(name, id, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "docker://" + id}})
}

func (r *rig) setStatus(name, id string, state corev1.ContainerState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pod := r.pod.DeepCopy()
	status := corev1.ContainerStatus{Name: name, ContainerID: "docker://" + id, State: state}
	delete(r.ids, name)
	if state.Running != nil {
		r.ids[name] = id
	}
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name})
	pod.Status.ContainerStatuses = append([]corev1.ContainerStatus{status}, pod.Status.ContainerStatuses...)
	r.pod = pod
}

func (r *rig) Pod(namespace, name string) (*corev1.Pod, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pod, namespace == r.pod.Namespace && name == r.pod.Name
}

func (r *rig) Running(_, _ string, _ types.UID, container string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := r.ids[container]
	return id, ok
}

func (r *rig) Sandbox(namespace, pod string, uid types.UID) (string, bool) {
	return r.Running(namespace, pod, uid, sandboxName)
}

// open asks the server; leave hangs up.
func (r *rig) open(t *testing.T, path string) (_ *http.Response, leave func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), streamDeadline)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, func() { cancel(); resp.Body.Close() }
}

// get asks the server and returns the whole answer.
func (r *rig) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	resp, leave := r.open(t, path)
	defer leave()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return resp.StatusCode, string(data)
}

// within waits for a condition.
func within(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(streamDeadline); !met(); {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("still waiting for %s\n%s", what, stacks[:goruntime.Stack(stacks, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// safeBuffer is a buffer that a stream fills while a test looks.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestRequestsAfterTheEndAreRefused(t *testing.T) {
	s := New(nil, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/containerLogs/default/web/app", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("a request after the end got %d, want 503", w.Code)
	}
}
