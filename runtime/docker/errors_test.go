package docker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestWordsAreTheEnginesOwn(t *testing.T) {
	said := errors.New("Error response from daemon: no such program")
	for _, c := range []struct {
		err  error
		want string
	}{
		{failure(said, "start container %s", "0123456789ab"), "no such program"},
		{fmt.Errorf("start the sandbox: %w", failure(said, "start container %s", "0123456789ab")), "no such program"},
		{&UnreachableError{Ref: "app:1", Err: errors.New("dial tcp: no route")}, "registry not reachable: dial tcp: no route"},
		{errors.New("plain"), "plain"},
	} {
		if got := Words(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

func TestRegistryIsNotBlamedForAnEngineThatIsGone(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "unix", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	if registrySilent(fmt.Errorf("read progress: %w", reset)) {
		t.Errorf("the registry is blamed for %v", reset)
	}
	if said := errors.New(`Get "https://registry.example/v2/": dial tcp 192.0.2.1:443: connect: connection refused`); !registrySilent(said) {
		t.Errorf("the registry is not blamed for %v", said)
	}
}
