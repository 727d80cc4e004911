package runtime

import (
	"context"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// imageIDs knows how to show an image: by the digest it was pulled under, or by its ID
// if it was built here. Docker is asked once per image, in the background.
type imageIDs struct {
	engine  imageEngine
	tasks   *tasks
	enqueue func(pods.Ref)

	mu     sync.Mutex // guards what follows
	known  map[string]string
	asking map[string][]pods.Ref // the Pods that wait for an answer
}

func newImageIDs(e imageEngine, t *tasks, poke func(pods.Ref)) *imageIDs {
	return &imageIDs{engine: e, tasks: t, enqueue: poke, known: map[string]string{}, asking: map[string][]pods.Ref{}}
}

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
	if n.asking[id] != nil || n.tasks.start(func(ctx context.Context) { n.ask(ctx, id) }) {
		n.asking[id] = append(n.asking[id], pod)
	}
	return builtHere(id)
}

func builtHere(id string) string { return "docker://" + id }

// ask finds out. If Docker does not answer, the next look at the Pod asks again.
func (n *imageIDs) ask(ctx context.Context, id string) {
	image, err := n.engine.Image(ctx, id)
	n.mu.Lock()
	waiting := n.asking[id]
	delete(n.asking, id)
	if err == nil || docker.IsNotFound(err) {
		n.known[id] = builtHere(id)
	}
	if len(image.Digests) > 0 {
		n.known[id] = "docker-pullable://" + image.Digests[0]
	}
	n.mu.Unlock()
	if len(image.Digests) > 0 {
		for _, pod := range waiting {
			n.enqueue(pod)
		}
	}
}
