package streaming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	utilexec "k8s.io/utils/exec"
)

// serveExec runs the query's command in a container.
func (s *Server) serveExec(w http.ResponseWriter, r *http.Request) {
	c, ok := s.openSession(w, r, fmt.Sprintf("container not found (%q)", r.PathValue("container")), s.pods.Running)
	if !ok {
		return
	}
	command := r.URL.Query()["command"]
	w, r, stop := upgrade(w, r)
	defer stop()
	if wsstream.IsWebSocketRequestWithStreamCloseProtocol(r) {
		s.serveV5(w, r, &c.opts, func(in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
			return prefixed("error executing command in container", c.exec(r.Context(), command, in, out, err, resize))
		})
		return
	}
	remotecommand.ServeExec(w, r, c, c.pod, c.uid, c.container, command, &c.opts,
		streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

// serveAttach connects to the main process of a container.
func (s *Server) serveAttach(w http.ResponseWriter, r *http.Request) {
	notFound := fmt.Sprintf("container %s not found in pod %s_%s", r.PathValue("container"), r.PathValue("pod"), r.PathValue("namespace"))
	c, ok := s.openSession(w, r, notFound, s.attachable)
	if !ok {
		return
	}
	w, r, stop := upgrade(w, r)
	defer stop()
	if wsstream.IsWebSocketRequestWithStreamCloseProtocol(r) {
		s.serveV5(w, r, &c.opts, func(in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
			return prefixed("error attaching to container", c.attach(r.Context(), in, out, err, resize))
		})
		return
	}
	remotecommand.ServeAttach(w, r, c, c.pod, c.uid, c.container, &c.opts,
		streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

// commandSession is a request to exec or attach. It implements the streaming
// package's Executor and Attacher; their names of the Pod and container are those
// that it was made for.
type commandSession struct {
	*Server
	opts                remotecommand.Options
	pod, uid, container string
	id                  string // Docker's
}

// attachable finds a container that runs, or whose output waits for its client.
func (s *Server) attachable(namespace, pod string, uid types.UID, container string) (string, bool) {
	id, ok := s.pods.Running(namespace, pod, uid, container)
	return id, ok || s.holds(id)
}

// openSession reads a request and finds its container, or answers with the reason. Find
// returns the container's Docker ID and whether it will do.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request, notFound string,
	find func(namespace, pod string, uid types.UID, container string) (string, bool)) (*commandSession, bool) {
	opts, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, false
	}
	c := &commandSession{
		Server: s, opts: *opts,
		pod: r.PathValue("pod"), uid: r.PathValue("uid"), container: r.PathValue("container"),
	}
	if _, ok := s.pods.Pod(r.PathValue("namespace"), c.pod); !ok {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return nil, false
	}
	id, ok := find(r.PathValue("namespace"), c.pod, types.UID(c.uid), c.container)
	if !ok {
		http.Error(w, notFound, http.StatusInternalServerError)
		return nil, false
	}
	c.id = id
	return c, true
}

// ExecInContainer implements remotecommand.Executor.
func (c *commandSession) ExecInContainer(ctx context.Context, _, _, _ string, command []string,
	in io.Reader, out, err io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return c.exec(ctx, command, in, out, err, resize)
}

// AttachContainer implements remotecommand.Attacher.
func (c *commandSession) AttachContainer(ctx context.Context, _, _, _ string,
	in io.Reader, out, err io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize) error {
	return c.attach(ctx, in, out, err, resize)
}

// exec returns the command's exit code, unless it is 0, as a CodeExitError: that is
// what tells the client.
func (c *commandSession) exec(ctx context.Context, command []string,
	in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
	code, failed := c.engine.Exec(ctx, c.id, command, c.streams(in, out, err, resize))
	if failed != nil || code == 0 {
		return c.unlessGone(failed)
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
}

func (c *commandSession) attach(ctx context.Context, in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
	streams := c.streams(in, out, err, resize)
	if h := c.take(c.id); h != nil {
		return c.unlessGone(c.attachHeld(ctx, h, streams))
	}
	return c.unlessGone(c.engine.Attach(ctx, c.id, streams))
}

// prefixed has a kubelet's words before an error, as the streaming package does it.
func prefixed(words string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", words, err)
}

// unlessGone is the error, if there is still someone to tell it to: the streaming
// package logs each as one of ours, but to leave is a client's right.
func (c *commandSession) unlessGone(err error) error {
	if !errors.Is(err, errClientGone) {
		return err
	}
	c.log.Debug("a client left its session", "pod", c.pod, "container", c.container, "error", err)
	return nil
}

// streams leaves out the streams that were not asked for: a WebSocket has them all.
// What reads from the client ends when its connection does, which follows the end
// of the session at once.
func (c *commandSession) streams(in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) docker.Streams {
	s := docker.Streams{TTY: c.opts.TTY, Go: c.spawn}
	if c.opts.Stdin {
		s.In = in
	}
	if c.opts.Stdout {
		s.Out = out
	}
	if c.opts.Stderr {
		s.Err = err
	}
	if resize != nil {
		s.Resize = func() (docker.Size, bool) {
			size, ok := <-resize
			return docker.Size{Width: size.Width, Height: size.Height}, ok
		}
	}
	return s
}
