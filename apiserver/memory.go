package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
)

// MemoryListener accepts connections from within the process only. Each is a
// pair of sockets that the kernel joins: without a name, so nobody else can
// connect, and with the deadlines and half-closes that net/http and SPDY rely
// on. (The in-memory pipes of Go libraries lack one or the other: a deadline of
// google.golang.org/grpc/test/bufconn may strike after it was taken back, which
// cancels the next request on that connection.)
type MemoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

// NewMemoryListener returns a listener that is ready to be dialled.
func NewMemoryListener() *MemoryListener {
	return &MemoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener. It waits until the connection is accepted, and
// fails with net.ErrClosed when the listener is closed.
func (m *MemoryListener) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("connect through memory: %w", err)
	}
	select {
	case m.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-m.closed:
		err = net.ErrClosed
	}
	return nil, errors.Join(err, ours.Close(), theirs.Close())
}

// Accept is net.Listener's.
func (m *MemoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (m *MemoryListener) Close() error {
	m.close.Do(func() { close(m.closed) })
	return nil
}

// Addr is net.Listener's; nobody can dial it.
func (m *MemoryListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func socketPair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if a, err = fileConn(fds[0]); err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	if b, err = fileConn(fds[1]); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	return a, b, nil
}

// fileConn takes the descriptor over.
func fileConn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "memory")
	defer file.Close() // the connection has a duplicate
	return net.FileConn(file)
}

// clientConfig connects a client to the listener. The generic server accepts
// its random bearer token as a member of system:masters.
func (m *MemoryListener) clientConfig() *rest.Config {
	return &rest.Config{
		Host:               "http://kube-lite",
		Dial:               func(ctx context.Context, _, _ string) (net.Conn, error) { return m.Dial(ctx) },
		BearerToken:        string(uuid.NewUUID()),
		QPS:                -1, // no limit: the callers are ours
		DisableCompression: true,
		WarningHandler:     rest.NoWarnings{}, // such as that Endpoints are deprecated: it is us who keep them
		ContentConfig: rest.ContentConfig{
			ContentType:        runtime.ContentTypeProtobuf,
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
		},
	}
}

// dropManagedFields keeps the field managers' books out of the informers: no
// controller reads them, and they are a third of a typical object. An update
// without them leaves the stored ones as they are.
func dropManagedFields(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil && accessor.GetManagedFields() != nil {
		accessor.SetManagedFields(nil)
	}
	return obj, nil
}
