package runtime

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

// The fake engine's images, and its registry.

func (f *fakeEngine) Image(_ context.Context, ref string) (docker.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return docker.Image{}, errFakeDown
	}
	for name, i := range f.images {
		if name == ref || i.ID == ref {
			return i, nil
		}
	}
	return docker.Image{}, fmt.Errorf("inspect image %s: %w", ref, errdefs.ErrNotFound)
}

func (f *fakeEngine) Pull(ctx context.Context, ref string, opts docker.PullOptions) error {
	f.mu.Lock()
	f.pulls = append(f.pulls, ref)
	f.pulledWith = append(f.pulledWith, opts.Credentials)
	if f.report == nil {
		f.report = map[string]func(docker.Progress){}
	}
	f.report[ref] = opts.Progress
	if f.progress != nil {
		opts.Progress(*f.progress)
	}
	pull := f.pull
	f.mu.Unlock()
	if pull == nil {
		return fmt.Errorf("pull image %s: manifest unknown: %w", ref, errdefs.ErrNotFound)
	}
	if err := pull(ctx, ref); err != nil {
		return err
	}
	f.build(ref)
	return nil
}

func (f *fakeEngine) Load(_ context.Context, archive io.Reader) error {
	_, err := io.Copy(io.Discard, archive)
	return err
}

func (f *fakeEngine) WatchImages(ctx context.Context, came func()) {
	f.mu.Lock()
	f.imageCame = came
	f.mu.Unlock()
	<-ctx.Done()
}

// ImageFiles gives an archive of one file, whose content is the reference.
func (f *fakeEngine) ImageFiles(ctx context.Context, spec docker.ContainerSpec, read func(io.Reader) error) error {
	if err := f.Remove(ctx, spec.Name); err != nil {
		return err
	}
	if _, err := f.Image(ctx, spec.Image); err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "ref", Mode: 0o640, Size: int64(len(spec.Image)), Uid: os.Getuid(), Gid: os.Getgid()}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, spec.Image); err != nil {
		return err
	}
	return errors.Join(w.Close(), read(&slowReader{&archive, f.readDelay}))
}

// ImageTexts gives what the test set, and counts.
func (f *fakeEngine) ImageTexts(ctx context.Context, spec docker.ContainerSpec, paths ...string) (map[string][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.textReads++
	out := map[string][]byte{}
	for _, path := range paths {
		out[path] = []byte(f.texts[path])
	}
	return out, nil
}

// slowReader gives a few bytes at a time.
type slowReader struct {
	io.Reader
	delay time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.delay > 0 {
		time.Sleep(r.delay)
		p = p[:1]
	}
	return r.Reader.Read(p)
}

// build puts an image into the store.
func (f *fakeEngine) build(ref string) {
	f.mu.Lock()
	f.images[ref] = docker.Image{ID: "sha256:" + ref, Tags: []string{ref}, Size: 1000}
	came := f.imageCame
	f.mu.Unlock()
	if came != nil {
		came()
	}
}

// pulled are the images that were asked for, in order.
func (f *fakeEngine) pulled() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.pulls)
}

func (f *fakeEngine) Images(context.Context) (out []docker.Image, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.images {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b docker.Image) int { return slices.Compare(a.Tags, b.Tags) })
	return out, nil
}
