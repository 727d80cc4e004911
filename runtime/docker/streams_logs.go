package docker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// LogOptions choose what of a container's log is read. The zero value reads
// nothing: ask for at least one of Stdout and Stderr.
type LogOptions struct {
	Stdout, Stderr bool
	// Follow goes on until the container ends.
	Follow bool
	// Timestamps puts the time, RFC 3339 with nine digits, before each line.
	Timestamps bool
	// Tail is how many of the last lines are read; nil: all. Where only Docker can read the
	// log, a line of more than 16 KiB counts once per 16 KiB.
	Tail *int64
	// Since leaves out what is older, after Tail has counted. Zero: nothing.
	Since time.Time
}

// LogStream is a container's log being read.
type LogStream interface {
	// Copy writes the log to the two writers, one Write per line or piece of a line, until
	// the log or ctx ends or a Write fails. A writer is not used, and may be nil, if its
	// stream was not asked for.
	Copy(ctx context.Context, stdout, stderr io.Writer) error
	// Close ends the reading. It must not be called during a Copy.
	Close() error
}

// Logs opens a container's log. Its lines are read as they were written, each once, from
// Docker's files (fileLog), or by Docker (engineLog) if its files are not to be read here.
// Nothing bounds the reading but ctx.
func (e *Engine) Logs(ctx context.Context, id string, opts LogOptions) (LogStream, error) {
	c, err := e.inspectForLogs(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the log of container %s: %w", short(id), err)
	}
	files, err := e.openFileLog(ctx, c, opts)
	if err != nil {
		return nil, fmt.Errorf("read the log of container %s: %w", short(id), err)
	}
	if files != nil {
		return files, nil
	}
	body, err := e.cli.ContainerLogs(ctx, id, opts.sdk())
	if errdefs.IsNotImplemented(err) || c.HostConfig.LogConfig.Type == "none" {
		err = fmt.Errorf("its logging driver %q keeps nothing that can be read", c.HostConfig.LogConfig.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("read the log of container %s: %w", short(id), err)
	}
	return &engineLog{body: body, tty: c.Config.Tty, timestamps: opts.Timestamps}, nil
}

// Tail returns the last lines of a container's log, stdout and stderr, and of them the
// last limit bytes.
func (e *Engine) Tail(ctx context.Context, id string, lines int64, limit int) (string, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	log, err := e.Logs(ctx, id, LogOptions{Stdout: true, Stderr: true, Tail: &lines})
	if err != nil {
		return "", err
	}
	defer log.Close()
	var text bytes.Buffer
	if err := log.Copy(ctx, &text, &text); err != nil {
		return "", fmt.Errorf("read the end of the log of container %s: %w", short(id), err)
	}
	all := text.Bytes()
	return string(all[max(0, len(all)-limit):]), nil
}

func (e *Engine) inspectForLogs(ctx context.Context, id string) (container.InspectResponse, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	return e.cli.ContainerInspect(ctx, id)
}

func (o LogOptions) sdk() container.LogsOptions {
	out := container.LogsOptions{
		ShowStdout: o.Stdout, ShowStderr: o.Stderr, Follow: o.Follow, Timestamps: o.Timestamps, Tail: "all",
	}
	if o.Tail != nil {
		out.Tail = strconv.FormatInt(*o.Tail, 10)
	}
	if !o.Since.IsZero() {
		out.Since = o.Since.Format(time.RFC3339Nano)
	}
	return out
}

func (o LogOptions) wants(stream string) bool {
	return stream == streamOut && o.Stdout || stream == streamErr && o.Stderr
}

// engineLog is a log that Docker reads.
type engineLog struct {
	body       io.ReadCloser
	tty        bool
	timestamps bool
}

// Close implements LogStream.
func (l *engineLog) Close() error { return l.body.Close() }

// Copy implements LogStream. The context that the log was opened with ends the reading too.
func (l *engineLog) Copy(ctx context.Context, stdout, stderr io.Writer) error {
	defer context.AfterFunc(ctx, func() { l.body.Close() })()
	stdout, stderr = orDiscard(stdout), orDiscard(stderr)
	if l.timestamps {
		stdout, stderr = &lineStamps{w: stdout}, &lineStamps{w: stderr}
	}
	if !l.tty {
		_, err := stdcopy.StdCopy(stdout, stderr, l.body) // one Write per frame, one frame per message
		return err
	}
	if !l.timestamps {
		_, err := io.Copy(stdout, l.body)
		return err
	}
	return copyMessages(stdout, l.body)
}

// Docker logs what a container writes line by line, each as one message; a line
// longer than messageSize as several. Where asked, it puts a stamp before each.
const (
	messageSize = 16 << 10
	stampSize   = len("2006-01-02T15:04:05.000000000Z ")
)

// copyMessages finds the stamped messages in a terminal's log, which has no
// frames: each ends with a newline or is exactly full.
func copyMessages(to io.Writer, from io.Reader) error {
	buffered := bufio.NewReaderSize(from, stampSize+messageSize)
	for {
		message, err := buffered.ReadSlice('\n')
		if _, err := to.Write(message); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// lineStamps passes messages on, each one Write, and removes the stamps that are
// not at the beginning of a line.
type lineStamps struct {
	w      io.Writer
	inLine bool
}

func (l *lineStamps) Write(message []byte) (int, error) {
	rest := message
	if l.inLine && stamped(message) {
		rest = message[stampSize:]
	}
	l.inLine = len(message) > 0 && !bytes.HasSuffix(message, []byte("\n"))
	if _, err := l.w.Write(rest); err != nil {
		return 0, err
	}
	return len(message), nil
}

func stamped(message []byte) bool {
	return len(message) >= stampSize && message[10] == 'T' && message[stampSize-2] == 'Z' && message[stampSize-1] == ' '
}
