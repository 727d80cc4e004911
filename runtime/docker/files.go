package docker

import (
	"context"
	"io"
	"time"
)

// FilesTimeout bounds the reading of an image's files: gigabytes on a slow disk.
const FilesTimeout = 10 * time.Minute

// ImageFiles gives read the archive of an image's files. It makes a container, which never
// runs, and removes it; spec needs its name, image and labels only. One of that name that an
// earlier attempt left is replaced. A missing image is IsNotFound.
func (e *Engine) ImageFiles(ctx context.Context, spec ContainerSpec, read func(io.Reader) error) error {
	spec.Entrypoint, spec.Network = []string{"none"}, "none" // an image may have no program
	if err := e.Remove(ctx, spec.Name); err != nil {
		return err
	}
	id, err := e.Create(ctx, spec)
	if err != nil {
		return err
	}
	defer func() { _ = e.Remove(context.WithoutCancel(ctx), id) }() // or the next attempt will
	ctx, cancel := bounded(ctx, FilesTimeout)
	defer cancel()
	archive, err := e.cli.ContainerExport(ctx, id)
	if err != nil {
		return failure(err, "read the files of image %s", spec.Image)
	}
	defer archive.Close()
	return read(archive)
}
