package docker

import (
	"archive/tar"
	"context"
	"io"
	"path"
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

// engineFiles are what the engine puts into each container that it makes, for mounts of its
// own. An image that has such a file keeps it.
var engineFiles = map[string]byte{
	".dockerenv": tar.TypeReg, "dev": tar.TypeDir, "dev/console": tar.TypeReg, "dev/pts": tar.TypeDir, "dev/shm": tar.TypeDir,
	"etc": tar.TypeDir, "etc/hostname": tar.TypeReg, "etc/hosts": tar.TypeReg, "etc/mtab": tar.TypeSymlink,
	"etc/resolv.conf": tar.TypeReg, "proc": tar.TypeDir, "sys": tar.TypeDir,
}

// IsEngines tells whether the engine put a file into a container that was made at that time
// or later, rather than the image.
func IsEngines(h *tar.Header, made time.Time) bool {
	kind, known := engineFiles[path.Clean("/" + h.Name)[1:]]
	return known && h.Typeflag == kind && h.Size == 0 && !h.ModTime.Before(made.Truncate(time.Second))
}
