package docker

import (
	"io"
	"strings"

	"github.com/docker/docker/daemon/logger/jsonfilelog/jsonlog"
)

// The streams of a container, as Docker's logs call them.
const (
	streamOut = "stdout"
	streamErr = "stderr"
)

// stampLayout is that of the times before lines.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00 "

// entryWriter writes the entries that are asked for as lines.
type entryWriter struct {
	opts           LogOptions
	stdout, stderr io.Writer
	starts         map[string]logPlace // what comes before is left out; nil: nothing
	file           int                 // which the entries are of

	inLine map[string]bool // by stream: the last entry did not end its line
	text   []byte          // reused
}

// write makes one Write of an entry.
func (w *entryWriter) write(e *jsonlog.JSONLog, offset int64) error {
	if !w.opts.wants(e.Stream) || e.Created.Before(w.opts.Since) || (logPlace{w.file, offset}).before(w.starts[e.Stream]) {
		return nil
	}
	w.text = w.text[:0]
	if w.opts.Timestamps && !w.inLine[e.Stream] {
		w.text = e.Created.UTC().AppendFormat(w.text, stampLayout)
	}
	w.text = append(w.text, e.Log...)
	if w.inLine == nil {
		w.inLine = map[string]bool{}
	}
	w.inLine[e.Stream] = !strings.HasSuffix(e.Log, "\n")
	to := w.stdout
	if e.Stream == streamErr {
		to = w.stderr
	}
	_, err := to.Write(w.text)
	return err
}
