package streaming

import (
	"context"
	"io"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// heldFor is how long the output of a container waits for its one client.
const heldFor = time.Minute

// held is the output of a container that waits.
type held struct {
	output *docker.Output
	forget *time.Timer
	// How many bytes of each stream a client was shown by the log already.
	shownOut, shownErr int64
}

// Hold keeps the output of a container from before its start for the first client
// that attaches. `kubectl run -i` makes a container with stdinOnce and attaches when it
// hears that the container runs: by then a short program has said all it had to say. A
// kubelet loses that. kubectl of 1.36 and later reads the log first, and so loses only
// what comes in between; what the log has shown is left out of the session.
func (s *Server) Hold(ctx context.Context, id string) error {
	if s.engine == nil {
		return nil
	}
	output, err := s.engine.Hold(ctx, id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		output.Close()
		return nil
	}
	s.held[id] = &held{output: output, forget: time.AfterFunc(heldFor, func() {
		if h := s.take(id); h != nil {
			h.output.Close()
		}
	})}
	return nil
}

// take hands the output over, once; nil if there is none.
func (s *Server) take(id string) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[id]
	if !ok {
		return nil
	}
	h.forget.Stop()
	delete(s.held, id)
	return h
}

// shown notes how much of a container's output a whole log contained.
func (s *Server) shown(id string, out, err int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, ok := s.held[id]; ok {
		h.shownOut, h.shownErr = max(h.shownOut, out), max(h.shownErr, err)
	}
}

// countWriter counts what passes.
type countWriter struct {
	io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

// skipWriter drops the first bytes.
type skipWriter struct {
	io.Writer
	left int64
}

func (s *skipWriter) Write(p []byte) (int, error) {
	skip := min(int64(len(p)), s.left)
	s.left -= skip
	if skip == int64(len(p)) {
		return len(p), nil
	}
	n, err := s.Writer.Write(p[skip:])
	return int(skip) + n, err
}

// attachHeld serves the first client of a held container.
func (c *commandSession) attachHeld(ctx context.Context, h *held, streams docker.Streams) error {
	if streams.Out != nil {
		streams.Out = &skipWriter{streams.Out, h.shownOut}
	}
	if streams.Err != nil {
		streams.Err = &skipWriter{streams.Err, h.shownErr}
	}
	return c.engine.AttachHeld(ctx, c.id, h.output, streams)
}

func (s *Server) holds(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[id]
	return ok
}
