package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
)

// notStartedCode is the lowest exit code that Docker gives a command which it could not start.
const notStartedCode = 126

// NotStartedError is the error of an Exec whose command Docker could not start: the program
// is not there, is not to be executed, or its user is unknown.
type NotStartedError struct {
	Container string // its ID
	Reason    string // Docker's
}

func (e *NotStartedError) Error() string {
	return fmt.Sprintf("exec in container %s: %s", short(e.Container), e.Reason)
}

// execOutput is the standard output of a command. What Docker says of one that it could not
// start comes there, as the only thing.
type execOutput struct {
	to     io.Writer
	failed func() bool // asks Docker
	asked  bool
	reason string // why it could not be started
}

// Write keeps Docker's words back. They end like few programs' lines, so that it costs most
// commands nothing.
func (o *execOutput) Write(p []byte) (int, error) {
	if !o.asked && bytes.HasSuffix(p, []byte("\r\n")) && o.failed() {
		o.reason = string(bytes.TrimSpace(p))
	}
	o.asked = true
	if o.reason != "" {
		return len(p), nil
	}
	return o.to.Write(p)
}

// execFailed tells whether a command has ended without having had a process. One that was
// just started has its process in a moment.
func (e *Engine) execFailed(ctx context.Context, exec string) bool {
	i, err := e.execPoll(ctx, exec, func(i container.ExecInspect) bool { return i.Pid != 0 || !i.Running })
	return err == nil && i.Pid == 0 && i.ExitCode >= notStartedCode
}
