package docker

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"

	"github.com/docker/docker/daemon/logger/jsonfilelog/jsonlog"
)

// entryReader reads the entries of a file that may still grow.
type entryReader struct {
	from   io.ReaderAt
	offset int64 // of the entry that is read next
	buffer *bufio.Reader
}

func newEntryReader(from io.ReaderAt, offset int64) *entryReader {
	r := &entryReader{from: from, buffer: bufio.NewReaderSize(nil, entryLimit)}
	r.seek(offset)
	return r
}

func (r *entryReader) seek(offset int64) {
	r.offset = offset
	r.buffer.Reset(io.NewSectionReader(r.from, offset, math.MaxInt64-offset))
}

// next reads an entry and skips what is none. It ends with io.EOF, after which there may be
// more to read one day.
func (r *entryReader) next(e *jsonlog.JSONLog) (offset int64, err error) {
	for {
		offset = r.offset
		line, err := r.line()
		if err != nil {
			return offset, err
		}
		if parseEntry(line, e) {
			return offset, nil
		}
	}
}

// line reads a whole line, or a part of one that is too long for an entry. One that is
// being written is read again later.
func (r *entryReader) line() ([]byte, error) {
	line, err := r.buffer.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		r.seek(r.offset)
		return nil, err
	}
	r.offset += int64(len(line))
	return line, nil
}

// backwardBlock is how much of a file is read at once on the way to its beginning.
const backwardBlock = 64 << 10

// backward calls visit with each entry and its offset, the last first, until visit returns
// false. It leaves out what comes after end.
func backward(from io.ReaderAt, end int64, visit func(e *jsonlog.JSONLog, offset int64) bool) error {
	var e jsonlog.JSONLog
	var rest []byte // the end of a line whose beginning was not read yet
	for end > 0 {
		size := min(end, backwardBlock)
		text := make([]byte, size, size+int64(len(rest)))
		if _, err := from.ReadAt(text, end-size); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end -= size
		text = append(text, rest...)
		for {
			i := bytes.LastIndexByte(text[:max(0, len(text)-1)], '\n')
			if i < 0 {
				break
			}
			if parseEntry(text[i+1:], &e) && !visit(&e, end+int64(i)+1) {
				return nil
			}
			text = text[:i+1]
		}
		if rest = text; len(rest) > entryLimit {
			rest = nil
		}
	}
	if parseEntry(rest, &e) {
		visit(&e, 0)
	}
	return nil
}
