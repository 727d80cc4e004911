package docker

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// FilesTimeout bounds the reading of an image's files: gigabytes on a slow disk.
const FilesTimeout = 10 * time.Minute

// textLimit bounds each file that ImageTexts reads; linksAtMost how many links lead to it.
const (
	textLimit   = 1 << 20
	linksAtMost = 8
)

// ImageFiles gives read the archive of an image's files. It makes a container, which never
// runs, and removes it; spec needs its name, image and labels only. One of that name that an
// earlier attempt left is replaced. A missing image is IsNotFound.
func (e *Engine) ImageFiles(ctx context.Context, spec ContainerSpec, read func(io.Reader) error) error {
	return e.withImage(ctx, spec, func(id string) error {
		ctx, cancel := bounded(ctx, FilesTimeout)
		defer cancel()
		archive, err := e.cli.ContainerExport(ctx, id)
		if err != nil {
			return failure(err, "read the files of image %s", spec.Image)
		}
		defer archive.Close()
		return read(archive)
	})
}

// ImageTexts reads small files of an image, by the paths that it is given; those that the
// image does not have are left out. It makes a container as ImageFiles does.
func (e *Engine) ImageTexts(ctx context.Context, spec ContainerSpec, paths ...string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := e.withImage(ctx, spec, func(id string) error {
		ctx, cancel := bounded(ctx, QueryTimeout)
		defer cancel()
		for _, name := range paths {
			text, err := e.text(ctx, id, name)
			if err != nil && !isMissingFile(err) {
				return failure(err, "read %s of image %s", name, spec.Image)
			} else if err == nil {
				out[name] = text
			}
		}
		return nil
	})
	return out, err
}

// withImage makes a container of an image for as long as use takes.
func (e *Engine) withImage(ctx context.Context, spec ContainerSpec, use func(id string) error) error {
	spec.Entrypoint, spec.Network = []string{"none"}, "none" // an image may have no program
	if err := e.Remove(ctx, spec.Name); err != nil {
		return err
	}
	id, err := e.Create(ctx, spec)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := bounded(context.WithoutCancel(ctx), leftoverTimeout)
		defer cancel()
		_ = e.Remove(ctx, id) // or the next attempt will
	}()
	return use(id)
}

// text reads one file of a container. Docker follows the links on the way to it, but not the
// last one.
func (e *Engine) text(ctx context.Context, id, name string) ([]byte, error) {
	for range linksAtMost {
		header, text, err := e.entry(ctx, id, name)
		if err != nil || header.Typeflag == tar.TypeReg {
			return text, err
		}
		if header.Typeflag != tar.TypeSymlink {
			return nil, fmt.Errorf("%s is no file", name)
		}
		if path.IsAbs(header.Linkname) {
			name = header.Linkname
		} else {
			name = path.Join(path.Dir(name), header.Linkname)
		}
	}
	return nil, fmt.Errorf("too many links lead to %s", name)
}

// entry reads the first entry of an archive.
func (e *Engine) entry(ctx context.Context, id, name string) (*tar.Header, []byte, error) {
	archive, _, err := e.cli.CopyFromContainer(ctx, id, name)
	if err != nil {
		return nil, nil, err
	}
	defer archive.Close()
	r := tar.NewReader(archive)
	header, err := r.Next()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, textLimit))
	return header, text, err
}

// isMissingFile tells that a container has no such file, rather than that there is no such
// container.
func isMissingFile(err error) bool {
	return errdefs.IsNotFound(err) && !strings.Contains(err.Error(), "No such container:")
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
