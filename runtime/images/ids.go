package images

import (
	"context"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// imageIDs knows how to show an image: by the digest it was pulled under, or by its ID
// if it was built here. Docker is asked once per image, in the background.
type imageIDs struct {
	engine  Engine
	start   func(task func(context.Context)) bool
	changed func(pods.Ref)

	mu      sync.Mutex // guards what follows
	known   map[string]string
	waiting map[string][]pods.Ref // the Pods that wait for an answer
}

func newImageIDs(e Engine, start func(task func(context.Context)) bool, changed func(pods.Ref)) *imageIDs {
	return &imageIDs{engine: e, start: start, changed: changed, known: map[string]string{}, waiting: map[string][]pods.Ref{}}
}

// ID is how a status shows an image, by its ID: until its digest is known by the ID itself.
func (m *Images) ID(pod pods.Ref, imageID string) string { return m.ids.show(pod, imageID) }

// show returns the imageID for the status of a Pod's container. While it is not known it is
// the image's ID; the Pod is looked at again if it turns out to be another.
func (n *imageIDs) show(pod pods.Ref, id string) string {
	if id == "" {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if shown, ok := n.known[id]; ok {
		return shown
	}
	if n.waiting[id] != nil || n.start(func(ctx context.Context) { n.find(ctx, id) }) {
		n.waiting[id] = append(n.waiting[id], pod)
	}
	return builtHere(id)
}

func builtHere(id string) string { return "docker://" + id }

// find finds out. If Docker does not answer, the next look at the Pod asks again.
func (n *imageIDs) find(ctx context.Context, id string) {
	image, err := n.engine.Image(ctx, id)
	n.mu.Lock()
	waiting := n.waiting[id]
	delete(n.waiting, id)
	if err == nil || docker.IsNotFound(err) {
		n.known[id] = builtHere(id)
	}
	if len(image.Digests) > 0 {
		n.known[id] = "docker-pullable://" + image.Digests[0]
	}
	n.mu.Unlock()
	if len(image.Digests) > 0 {
		for _, pod := range waiting {
			n.changed(pod)
		}
	}
}
