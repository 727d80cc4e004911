package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// corefile is what a cluster made by kubeadm has, without what only costs time: metrics, health checks, loop detection.
const corefile = `.:%d {
	bind %s
	errors
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		kubeconfig %s
		pods insecure
		ttl 30
	}
	cache 30
	loadbalance
}
`

// coreDNS is the yardstick for DNS: the same Services from the same API, on the same address.
type coreDNS struct {
	cmd     *exec.Cmd
	address netip.AddrPort
}

// startCoreDNS returns at once; awaitAnswer tells when it serves.
func startCoreDNS(ctx context.Context, binary string, i *instance) (*coreDNS, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(i.scratch, "Corefile")
	if err := os.WriteFile(path, fmt.Appendf(nil, corefile, port, i.gateway(), i.kubeconfig()), 0o644); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(i.scratch, "coredns.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	cmd := exec.CommandContext(ctx, binary, "-conf", path)
	cmd.Dir, cmd.Stdout, cmd.Stderr = i.scratch, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("CoreDNS: %w", err)
	}
	return &coreDNS{cmd, netip.AddrPortFrom(i.gateway(), uint16(port))}, nil
}

func (c *coreDNS) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed, which is an error
}
