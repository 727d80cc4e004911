package docker

import (
	"context"
	"net"

	"golang.org/x/sys/unix"
)

// Process is the process that made the engine's socket, the engine or the service manager that starts it; 0 where it
// is not known: the engine is asked over a network, or it is in another PID namespace.
func (e *Engine) Process(ctx context.Context) int {
	ctx, cancel := bounded(ctx, PingTimeout)
	defer cancel()
	conn, err := e.cli.Dialer()(ctx)
	if err != nil {
		return 0
	}
	defer conn.Close()
	local, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := local.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}
