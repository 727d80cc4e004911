package docker

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestImageIsFoundListedAndRemoved(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	found, err := d.Image(ctx, d.image)
	if err != nil || !strings.HasPrefix(found.ID, "sha256:") || !slices.Contains(found.Tags, d.image) || found.User != "1000:2000" || found.Size == 0 {
		t.Errorf("image %+v, %v", found, err)
	}
	list, err := d.Images(ctx)
	if err != nil || !slices.ContainsFunc(list, func(i Image) bool { return i.ID == found.ID }) {
		t.Errorf("images %+v, %v", list, err)
	}
	if err := d.RemoveImage(ctx, d.image, false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Image(ctx, d.image); !IsNotFound(err) {
		t.Errorf("removed: %v", err)
	}
}

func TestPullFetchesFromARegistryAndTellsItsProgress(t *testing.T) {
	d := newDockerTest(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/" + d.unique + ":1"
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 1)
	if err == nil {
		err = remote.Write(tag, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.RemoveImage(context.Background(), ref, true); err != nil {
			t.Error(err)
		}
	})
	var steps []string
	err = d.Pull(t.Context(), ref, PullOptions{FirstAnswer: patience, Progress: func(p Progress) { steps = append(steps, p.Status) }})
	if err != nil {
		t.Error(err)
	}
	if _, err := d.Image(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "Pulling from "+d.unique) }) {
		t.Errorf("progress %q", steps)
	}
	err = d.Pull(t.Context(), ref+"-none", PullOptions{FirstAnswer: patience})
	if unreachable := (*UnreachableError)(nil); err == nil || errors.As(err, &unreachable) || !strings.Contains(err.Error(), ref+"-none") {
		t.Errorf("a tag that is not there: %v", err)
	}
}

func TestRegistryThatDoesNotAnswerIsToldApart(t *testing.T) {
	d := newDockerTest(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for what, ref := range map[string]string{
		"refuses":       "127.0.0.1:1/x:1",
		"never answers": silent.Addr().String() + "/x:1",
	} {
		t.Run(what, func(t *testing.T) {
			err := d.Pull(t.Context(), ref, PullOptions{FirstAnswer: time.Second})
			if unreachable := (*UnreachableError)(nil); !errors.As(err, &unreachable) {
				t.Errorf("pull: %v", err)
			}
		})
	}
}

func TestDiskUsageCountsImagesAndContainers(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("user"))
	image, err := d.Image(t.Context(), d.image)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := d.DiskUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The image's own size is 0 while another test's image has the same layer.
	size, known := usage.Images[image.ID]
	if _, ok := usage.Containers[id]; !ok || !known || size > image.Size || usage.InUse[image.ID] == 0 {
		t.Errorf("container %s with image %s of %d bytes: usage %+v", id, image.ID, image.Size, usage)
	}
}
