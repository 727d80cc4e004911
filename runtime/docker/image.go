package docker

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"
)

// Image is one image in Docker's store.
type Image struct {
	ID      string   // sha256:…
	Tags    []string // repository:tag
	Digests []string // repository@sha256:…
	Size    int64    // bytes, shared layers included
	Created time.Time
	User    string // the default user: "", a name, uid or uid:gid
	Labels  map[string]string
}

// Image looks an image up by reference or ID; a missing one is IsNotFound.
func (e *Engine) Image(ctx context.Context, ref string) (Image, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	found, err := e.cli.ImageInspect(ctx, ref)
	if err != nil {
		return Image{}, failure(err, "inspect image %s", ref)
	}
	out := Image{ID: found.ID, Tags: found.RepoTags, Digests: found.RepoDigests, Size: found.Size, Created: parseTime(found.Created)}
	if found.Config != nil {
		out.User, out.Labels = found.Config.User, found.Config.Labels
	}
	return out, nil
}

// Images lists all top-level images.
func (e *Engine) Images(ctx context.Context) ([]Image, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	found, err := e.cli.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs()})
	if err != nil {
		return nil, failure(err, "list images")
	}
	out := make([]Image, 0, len(found))
	for _, i := range found {
		out = append(out, Image{
			ID: i.ID, Tags: i.RepoTags, Digests: i.RepoDigests, Size: i.Size,
			Created: time.Unix(i.Created, 0), Labels: i.Labels,
		})
	}
	return out, nil
}

// Load loads an archive made by docker save, or of the same form.
func (e *Engine) Load(ctx context.Context, archive io.Reader) error {
	ctx, cancel := bounded(ctx, LoadTimeout)
	defer cancel()
	resp, err := e.cli.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return failure(err, "load image")
	}
	defer resp.Body.Close()
	if err := jsonmessage.DisplayJSONMessagesStream(resp.Body, io.Discard, 0, false, nil); err != nil {
		return failure(err, "load image")
	}
	return nil
}

// Import makes an image of one layer from the archive of a file system. Changes
// are Dockerfile instructions such as `ENTRYPOINT ["/app"]`.
func (e *Engine) Import(ctx context.Context, archive io.Reader, ref string, changes ...string) error {
	ctx, cancel := bounded(ctx, LoadTimeout)
	defer cancel()
	body, err := e.cli.ImageImport(ctx, image.ImportSource{Source: archive, SourceName: "-"}, ref, image.ImportOptions{Changes: changes})
	if err != nil {
		return failure(err, "import image %s", ref)
	}
	defer body.Close()
	if err := jsonmessage.DisplayJSONMessagesStream(body, io.Discard, 0, false, nil); err != nil {
		return failure(err, "import image %s", ref)
	}
	return nil
}

// RemoveImage removes a tag, or an image by its ID with all its tags if force is
// set, and the layers that nothing else needs. An image that a container uses is
// IsConflict.
func (e *Engine) RemoveImage(ctx context.Context, ref string, force bool) error {
	ctx, cancel := bounded(ctx, RemoveTimeout)
	defer cancel()
	_, err := e.cli.ImageRemove(ctx, ref, image.RemoveOptions{Force: force, PruneChildren: true})
	if err != nil && !IsNotFound(err) {
		return failure(err, "remove image %s", ref)
	}
	return nil
}

// errNoAnswer is the cause of a pull that was given up.
var errNoAnswer = errors.New("the registry did not answer")
