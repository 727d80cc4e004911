package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// Resources bound what a container uses; they can be changed while it runs. Where the
// kernel has cgroup v2 the engine turns shares into a weight.
type Resources struct {
	CPUShares int64 // relative weight; 0: Docker's default, 1024
	CPUQuota  int64 // microseconds per CPUPeriod; 0: no limit
	CPUPeriod int64 // microseconds
	Memory    int64 // bytes; 0: no limit. Swap is never allowed beyond it.
}

// sdk is Docker's own description. Swap is counted with memory: the same bound means
// none.
func (r Resources) sdk() container.Resources {
	return container.Resources{
		CPUShares: r.CPUShares, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod,
		Memory: r.Memory, MemorySwap: r.Memory,
	}
}

// Update changes the resources of a container, running or not. To Docker a zero means
// "as it is": a bound can be moved or set, not taken away.
func (e *Engine) Update(ctx context.Context, id string, r Resources) error {
	ctx, cancel := bounded(ctx, UpdateTimeout)
	defer cancel()
	if _, err := e.cli.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: r.sdk()}); err != nil {
		return failure(err, "update the resources of container %s", short(id))
	}
	return nil
}
