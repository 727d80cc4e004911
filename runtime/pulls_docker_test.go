package runtime

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

const (
	// layerSize is large enough for Docker to tell how far it is, in bytes.
	layerSize = 4 << 20
	// lineRate is how long a sixteenth of a layer takes on the line.
	lineRate = 50 * time.Millisecond
)

// slowRegistry is a registry on loopback that sends half of each layer, and the rest when it is released.
type slowRegistry struct {
	host    string
	release chan struct{}

	mu   sync.Mutex // guards what follows
	sent map[string]int
	open map[string]bool // the repositories of layers that are half sent
}

func newSlowRegistry(t *testing.T, repositories ...string) *slowRegistry {
	t.Helper()
	r := &slowRegistry{release: make(chan struct{}), sent: map[string]int{}, open: map[string]bool{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodGet && strings.Contains(request.URL.Path, "/blobs/") {
			w = &halfWriter{ResponseWriter: w, registry: r, repository: strings.Split(request.URL.Path, "/")[2]}
		}
		inner.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(r.letGo) // before Close, which waits for what is under way
	r.host = strings.TrimPrefix(server.URL, "http://")
	for _, repository := range repositories {
		tag, err := name.NewTag(r.host + "/" + repository + ":1")
		if err != nil {
			t.Fatal(err)
		}
		image, err := random.Image(layerSize, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(tag, image); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *slowRegistry) letGo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.release:
	default:
		close(r.release)
	}
}

// halfWriter holds the second half of what is as long as a layer back.
type halfWriter struct {
	http.ResponseWriter
	registry   *slowRegistry
	repository string
	written    int
	held       bool
}

func (w *halfWriter) Write(p []byte) (n int, err error) {
	for part := range slices.Chunk(p, layerSize/16) {
		if w.written >= layerSize/2 && !w.held {
			w.held = true
			w.registry.hold(w.repository)
		}
		m, err := w.ResponseWriter.Write(part)
		if n += m; err != nil {
			return n, err
		}
		w.written += m
		if f, ok := w.ResponseWriter.(http.Flusher); ok && len(p) > layerSize/2 {
			f.Flush()
			time.Sleep(lineRate) // Docker tells its progress ten times a second
		}
	}
	return n, nil
}

// hold notes that a layer is half sent, and waits.
func (r *slowRegistry) hold(repository string) {
	r.mu.Lock()
	r.sent[repository]++
	r.open[repository] = true
	r.mu.Unlock()
	<-r.release
}

// Three Pods wait for one image and one for another, while the registry takes its time.
func TestSlowPullsOnDocker(t *testing.T) {
	r := newDockerRig(t)
	slow := newSlowRegistry(t, "first", "second")
	image := map[string]string{"a": "first", "b": "first", "c": "first", "d": "second"}
	for pod, repository := range image {
		r.pulls(pod, slow.host+"/"+repository+":1")
	}
	for pod, repository := range image {
		ref := slow.host + "/" + repository + ":1"
		r.eventually(pod, fmt.Sprintf("Pulling: Pulling image %q", ref))
		told := regexp.MustCompile(`Pulling image "` + ref + `": [12]\.\d of 4\.\d MB so far`)
		r.awaitMatch(pod, told)
	}
	slow.mu.Lock()
	open, sent := len(slow.open), slow.sent["first"]
	slow.mu.Unlock()
	if open != 2 || sent != 1 {
		t.Errorf("%d images are sent at the same time, want 2, and the one that three Pods want %d times", open, sent)
	}
	for pod := range image {
		if p := r.get(pod); p.Status.Phase != v1.PodPending || p.Status.ContainerStatuses[0].State.Waiting.Reason != "ContainerCreating" {
			t.Errorf("Pod %s is %+v", pod, p.Status)
		}
	}
	slow.letGo()
	for pod, repository := range image {
		r.eventually(pod, fmt.Sprintf("Pulled: Successfully pulled image %q in ", slow.host+"/"+repository+":1"))
		r.await(pod, "ended", func(p *v1.Pod) bool { return pods.IsFinal(p.Status.Phase) })
	}
	slow.mu.Lock()
	defer slow.mu.Unlock()
	if slow.sent["first"] != 1 || slow.sent["second"] != 1 {
		t.Errorf("the layers were sent %v times, want once each", slow.sent)
	}
}
