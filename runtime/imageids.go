package runtime

import (
	"context"
	"sync"
)

// imageIDs knows how to show an image: by the digest it was pulled under, or by its ID
// if it was built here. Docker is asked once per image, in the background.
type imageIDs struct {
	engine imageEngine
	tasks  *tasks

	mu    sync.Mutex // guards known
	known map[string]string
}

// show returns the imageID for a container's status.
func (n *imageIDs) show(id string) string {
	if id == "" {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	shown, ok := n.known[id]
	if !ok {
		shown = "docker://" + id
		n.known[id] = shown
		n.tasks.start(func(ctx context.Context) { n.ask(ctx, id) })
	}
	return shown
}

func (n *imageIDs) ask(ctx context.Context, id string) {
	image, err := n.engine.Image(ctx, id)
	if err != nil || len(image.Digests) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[id] = "docker-pullable://" + image.Digests[0]
}
