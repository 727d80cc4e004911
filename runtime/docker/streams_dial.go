package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	goruntime "runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds a connection to a loopback address, which is made or refused
// at once unless the listener's queue is full.
const dialTimeout = 10 * time.Second

// DialLoopback connects to a TCP port on localhost as the processes in a running
// container see it: on 127.0.0.1, else on ::1. It enters the container's network
// namespace for that, so the engine must run on this machine and we as root.
func (e *Engine) DialLoopback(ctx context.Context, id string, port uint16) (net.Conn, error) {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	ns, err := networkNamespace(c)
	if err != nil {
		return nil, fmt.Errorf("enter the network of container %s: %w", short(id), err)
	}
	defer ns.Close()
	ctx, cancel := bounded(ctx, dialTimeout)
	defer cancel()
	conn, err4 := dialInside(ctx, ns, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err4 == nil {
		return conn, nil
	}
	conn, err6 := dialInside(ctx, ns, net.JoinHostPort("::1", strconv.Itoa(int(port))))
	if err6 == nil {
		return conn, nil
	}
	return nil, fmt.Errorf("connect to localhost:%d in the network of container %s: %w; %w", port, short(id), err4, err6)
}

// networkNamespace opens the namespace and makes sure that it is the container's.
func networkNamespace(c Container) (*os.File, error) {
	if c.PID == 0 {
		return nil, errors.New("it is not running")
	}
	ns, err := os.Open("/proc/" + strconv.Itoa(c.PID) + "/ns/net")
	if err != nil {
		return nil, err
	}
	if err := owns(c.ID, c.PID); err != nil { // after the open: the file keeps the namespace from here on
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// dialInside connects from a thread that is inside the namespace for the while.
// A socket belongs to the namespace it was made in, wherever it is used later.
// The address must be an IP literal: for a name the dialer uses other threads.
func dialInside(ctx context.Context, ns *os.File, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, 1)
	go func() {
		goruntime.LockOSThread() // and let the thread die with us if it can't come back
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			results <- result{err: err}
			return
		}
		defer home.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			results <- result{err: fmt.Errorf("setns: %w", err)}
			return
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			goruntime.UnlockOSThread()
		}
		results <- result{conn, err}
	}()
	r := <-results
	return r.conn, r.err
}
