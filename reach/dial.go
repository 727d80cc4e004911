package reach

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout is how long a connection may take. All that answers here is on this machine.
const dialTimeout = time.Second

// The two errors that matter, in words.
const (
	refused  = "connection refused"
	noAnswer = "no answer within a second"
)

// dial connects to an address, closes the connection at once, and says why there was none.
func dial(ctx context.Context, address string) string {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err == nil {
		conn.Close()
		return ""
	}
	timeout := net.Error(nil)
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return noAnswer
	}
	return err.Error()
}
