package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// peerToken is the administrator's at the peer, which listens on 127.0.0.1 only.
	peerToken = "bench"
	// peerLook is the pause between two looks whether a process of the peer answers.
	peerLook = 5 * time.Millisecond
)

// peer is the yardstick for the API: kube-apiserver over etcd, as kubeadm would start them, on data of their own.
type peer struct {
	kubeAPIServer, etcd string // binaries
	scratch             string
	port                int
	processes           []*exec.Cmd
}

// newPeer thinks of a peer; nothing of it is there yet. Its end is remove.
func (b *bench) newPeer() (*peer, error) {
	scratch, err := os.MkdirTemp("", "kube-lite-bench-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	return &peer{kubeAPIServer: b.kubeAPIServer, etcd: b.etcd, scratch: scratch, port: port}, err
}

// start is apiServer's. kube-apiserver waits for etcd to listen: else it would try again a second later.
func (p *peer) start(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.writeCredentials(); err != nil {
		return 0, err
	}
	clients, err := freePort()
	if err != nil {
		return 0, err
	}
	members, err := freePort()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.runEtcd(ctx, clients, members); err != nil {
		return 0, err
	}
	if err := p.runAPIServer(clients); err != nil {
		return 0, err
	}
	err = p.await(ctx, "kube-apiserver", p.ready)
	return time.Since(began), err
}

func (p *peer) runEtcd(ctx context.Context, clients, members int) error {
	clientURL, memberURL := fmt.Sprintf("http://127.0.0.1:%d", clients), fmt.Sprintf("http://127.0.0.1:%d", members)
	if err := p.run(p.etcd, "--name=bench", "--data-dir="+filepath.Join(p.scratch, "etcd"), "--log-level=error",
		"--listen-client-urls="+clientURL, "--advertise-client-urls="+clientURL,
		"--listen-peer-urls="+memberURL, "--initial-advertise-peer-urls="+memberURL,
		"--initial-cluster=bench="+memberURL); err != nil {
		return err
	}
	return p.await(ctx, "etcd", func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", clients))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

func (p *peer) runAPIServer(etcdPort int) error {
	key := filepath.Join(p.scratch, "accounts.key")
	return p.run(p.kubeAPIServer, fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.port), "--cert-dir="+filepath.Join(p.scratch, "certificates"),
		"--authorization-mode=Node,RBAC", "--token-auth-file="+filepath.Join(p.scratch, "tokens.csv"), "--allow-privileged",
		"--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file="+key, "--service-account-key-file="+key)
}

// writeCredentials makes the administrator's token and the key that signs those of ServiceAccounts.
func (p *peer) writeCredentials() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	tokens := []byte(peerToken + ",admin,admin,system:masters\n")
	return errors.Join(
		os.WriteFile(filepath.Join(p.scratch, "accounts.key"), text, 0o600),
		os.WriteFile(filepath.Join(p.scratch, "tokens.csv"), tokens, 0o600),
	)
}

// run starts one of the two programs, whose output is in the scratch directory.
func (p *peer) run(binary string, args ...string) error {
	log, err := os.Create(filepath.Join(p.scratch, filepath.Base(binary)+".log"))
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.scratch, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", binary, err)
	}
	p.processes = append(p.processes, cmd)
	return nil
}

// await asks until there is no error, and returns the last one when ctx is over.
func (p *peer) await(ctx context.Context, what string, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if e := sleep(ctx, peerLook); e != nil {
			return fmt.Errorf("%s does not answer (its log is in %s): %w", what, p.scratch, err)
		}
	}
}

func (p *peer) ready(ctx context.Context) error {
	config, err := p.config()
	if err != nil {
		return err
	}
	client, err := connectAPI(config)
	if err != nil {
		return err
	}
	defer client.close()
	return client.rest.Get().AbsPath("/readyz").Do(ctx).Error()
}

// config is apiServer's.
func (p *peer) config() (*rest.Config, error) {
	return &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", p.port), BearerToken: peerToken,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, // it signed its certificate itself
	}, nil
}

// pids is apiServer's.
func (p *peer) pids() (pids []int) {
	for _, cmd := range p.processes {
		pids = append(pids, cmd.Process.Pid)
	}
	return pids
}

// remove is apiServer's.
func (p *peer) remove() error {
	for _, cmd := range p.processes {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed, which is an error
	}
	return os.RemoveAll(p.scratch)
}
