package runtime

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/volume"
)

// CheckMounts returns an error if the engine does not see what this process mounts below root, where the Pods' volumes
// are: containers would find empty directories, on disk, in place of subPaths and of volumes in memory. Where it
// cannot be found out nothing is said.
func CheckMounts(ctx context.Context, engine *docker.Engine, root string, log *slog.Logger) error {
	pid := engine.Process(ctx)
	if pid == 0 {
		return nil
	}
	reaches, err := volume.Reaches(pid, root)
	if err != nil {
		log.Debug("it is not known whether the engine sees what this process mounts", "engine", pid, "error", err)
		return nil
	}
	if reaches {
		return nil
	}
	return fmt.Errorf("the Docker engine (pid %d) does not see what kube-lite mounts below %s, and its containers would find empty volumes: "+
		"start it in Docker's mount namespace, so not below unshare and not in a systemd unit with PrivateTmp, PrivateMounts or ProtectSystem, "+
		"or with \"nsenter --target %[1]d --mount kube-lite start\"", pid, root)
}
