package docker

import (
	"context"

	"github.com/docker/docker/api/types"
)

// DiskUsage is what Docker's objects take on disk, in bytes, by ID. Images share layers:
// the sum over all images is more than they take together.
type DiskUsage struct {
	Containers map[string]int64 // the writable layer of each container
	Images     map[string]int64 // the layers that no other image has
	InUse      map[string]int64 // how many containers of anybody use each image
}

// DiskUsage measures all containers and images. It walks their files, so it can take
// long.
func (e *Engine) DiskUsage(ctx context.Context) (DiskUsage, error) {
	ctx, cancel := bounded(ctx, DiskUsageTimeout)
	defer cancel()
	found, err := e.cli.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.ContainerObject, types.ImageObject}})
	if err != nil {
		return DiskUsage{}, failure(err, "ask Docker for disk usage")
	}
	out := DiskUsage{Containers: map[string]int64{}, Images: map[string]int64{}, InUse: map[string]int64{}}
	for _, c := range found.Containers {
		out.Containers[c.ID] = c.SizeRw
	}
	for _, i := range found.Images {
		out.Images[i.ID] = max(0, i.Size-max(0, i.SharedSize))
		out.InUse[i.ID] = max(0, i.Containers)
	}
	for _, c := range found.Containers {
		if out.InUse[c.ImageID] == 0 {
			out.InUse[c.ImageID] = 1
		}
	}
	return out, nil
}

// Written is how many bytes a container wrote over its image's files. The engine walks
// them: it can take long.
func (e *Engine) Written(ctx context.Context, id string) (int64, error) {
	ctx, cancel := bounded(ctx, DiskUsageTimeout)
	defer cancel()
	found, _, err := e.cli.ContainerInspectWithRaw(ctx, id, true)
	if err != nil {
		return 0, failure(err, "measure the files of container %s", short(id))
	}
	if found.SizeRw == nil {
		return 0, nil
	}
	return *found.SizeRw, nil
}
