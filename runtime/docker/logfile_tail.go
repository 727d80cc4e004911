package docker

import (
	"strings"
	"time"

	"github.com/docker/docker/daemon/logger/jsonfilelog/jsonlog"
)

// copierSlack is how much later than its time an entry may be written: Docker takes the
// time before it waits for its turn to write.
const copierSlack = time.Second

// logPlace is where an entry begins: in which of the files, and where in it.
type logPlace struct {
	file   int
	offset int64
}

func (p logPlace) before(o logPlace) bool {
	return p.file < o.file || p.file == o.file && p.offset < o.offset
}

// logTail looks for the last lines of a log, from its end to its beginning. Lines of the
// two streams may lie in each other, piece by piece: each stream has its own beginning.
type logTail struct {
	left   int64                // lines that are still looked for
	starts map[string]logPlace  // by stream: the first piece found of the first line that counts
	open   map[string]time.Time // the time of a line that may begin before its first piece found
	begun  map[string]bool      // no line before the first one found counts
}

// findTail returns for each stream where those of its lines begin that are among the last n
// of all. Without any, that is the end of the log as it is now.
func findTail(files []*logFile, n int64, wanted func(stream string) bool) (map[string]logPlace, error) {
	t := &logTail{left: n, open: map[string]time.Time{}, begun: map[string]bool{}}
	for i := len(files) - 1; i >= 0; i-- {
		if err := files[i].unpack(); err != nil {
			return nil, err
		}
		end, err := files[i].end()
		if err != nil {
			return nil, err
		}
		if t.starts == nil {
			t.starts = map[string]logPlace{streamOut: {i, end}, streamErr: {i, end}}
		}
		more := n > 0
		if more {
			err = backward(files[i].content, end, func(e *jsonlog.JSONLog, offset int64) bool {
				if wanted(e.Stream) {
					more = t.visit(e, logPlace{i, offset})
				}
				return more
			})
		}
		if err != nil || !more {
			return t.starts, err
		}
	}
	return t.starts, nil
}

// visit looks at the entry before those seen and tells whether to go on.
func (t *logTail) visit(e *jsonlog.JSONLog, at logPlace) bool {
	_, inLine := t.open[e.Stream]
	last := strings.HasSuffix(e.Log, "\n") || !inLine // of the pieces of its line
	switch {
	case t.begun[e.Stream]:
	case last && t.left == 0:
		t.begun[e.Stream] = true
		delete(t.open, e.Stream)
	default:
		if last {
			t.left--
		}
		t.starts[e.Stream], t.open[e.Stream] = at, e.Created
	}
	return t.left > 0 || t.mayBeginBefore(e.Created)
}

// mayBeginBefore tells whether a piece of an open line may stand before what was written at
// that time. All pieces of a line have the time of the first.
func (t *logTail) mayBeginBefore(written time.Time) bool {
	for _, line := range t.open {
		if !written.Before(line.Add(-copierSlack)) {
			return true
		}
	}
	return false
}
