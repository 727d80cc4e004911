package docker

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/daemon/logger/jsonfilelog/jsonlog"
)

// Docker keeps a container's log in a file of entries, each a JSON object on a line of its
// own: a line of output, or up to 16 KiB of one. When the file is full it becomes name.1,
// what was name.1 becomes name.2, perhaps compressed, and so on; see rotate in Docker's
// daemon/logger/loggerutils.
const (
	// logFileTries and logFilePause bound how long a rotation is waited for that goes on
	// while the files are opened. It renames a few files.
	logFileTries = 100
	logFilePause = 10 * time.Millisecond
	// entryLimit is more than an entry of 16 KiB takes when each byte of it is escaped, and
	// the attributes that a user may add.
	entryLimit = 128 << 10
)

// logFile is one of the files. Once rotated it does not change.
type logFile struct {
	*os.File
	info    os.FileInfo
	content io.ReaderAt // the file itself, or what was compressed in it; nil: not unpacked yet
}

// openLogFiles opens the files of a log as they are at one moment, the oldest first.
func openLogFiles(ctx context.Context, path string) ([]*logFile, error) {
	for try := 1; ; try++ {
		files, err := openLogFilesOnce(path)
		if err == nil {
			slices.Reverse(files)
			return files, nil
		}
		closeLogFiles(files)
		if try == logFileTries || !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open the log %s: %w", path, err)
		}
		select {
		case <-time.After(logFilePause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// openLogFilesOnce opens the files, the newest first. A rotation meanwhile makes files
// older, so that they are met again, not missed. fs.ErrNotExist tells of a rotation that
// may have hidden one.
func openLogFilesOnce(path string) ([]*logFile, error) {
	var files []*logFile
	for n := range maxLogFiles() {
		name := path
		if n > 0 {
			name = path + "." + strconv.Itoa(n)
		}
		f, err := openLogFile(name)
		if errors.Is(err, fs.ErrNotExist) && n > 0 {
			f, err = openLogFile(name + ".gz")
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) && n > 0:
		case err != nil:
			return files, err
		case slices.ContainsFunc(files, f.sameFile):
			f.Close()
		default:
			files = append(files, f)
		}
	}
	if still, err := files[0].isAt(path); err != nil || !still {
		return files, errors.Join(err, fs.ErrNotExist)
	}
	return files, nil
}

func maxLogFiles() int {
	n, _ := strconv.Atoi(logMaxFiles)
	return n
}

func openLogFile(name string) (*logFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if strings.HasSuffix(name, ".gz") {
		return &logFile{File: f, info: info}, nil
	}
	return &logFile{File: f, info: info, content: f}, nil
}

func closeLogFiles(files []*logFile) {
	for _, f := range files {
		f.Close()
	}
}

// isAt tells whether the file has that name now.
func (f *logFile) isAt(path string) (bool, error) {
	now, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(f.info, now), nil
}

// sameFile tells whether both are the same file on disk.
func (f *logFile) sameFile(other *logFile) bool { return os.SameFile(f.info, other.info) }

// sameLog tells whether one may be the other, compressed: the first entry has the time of
// its nanosecond in it.
func (f *logFile) sameLog(other *logFile) bool {
	if f.sameFile(other) {
		return true
	}
	ours, err := f.head()
	theirs, otherErr := other.head()
	return err == nil && otherErr == nil && bytes.Equal(ours, theirs)
}

// unpack makes what was compressed readable: at most a full file, logMaxSize.
func (f *logFile) unpack() error {
	if f.content != nil {
		return nil
	}
	packed, err := gzip.NewReader(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return fmt.Errorf("unpack the log %s: %w", f.Name(), err)
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		return fmt.Errorf("unpack the log %s: %w", f.Name(), err)
	}
	f.content = bytes.NewReader(text)
	return nil
}

// end is where the last whole line of an unpacked file ends.
func (f *logFile) end() (int64, error) {
	end := int64(0)
	switch content := f.content.(type) {
	case *bytes.Reader:
		end = content.Size()
	default:
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		end = info.Size()
	}
	for end > 0 {
		block := make([]byte, min(end, backwardBlock))
		end -= int64(len(block))
		if _, err := f.content.ReadAt(block, end); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			return end + int64(i) + 1, nil
		}
	}
	return 0, nil
}

// head is the first entry.
func (f *logFile) head() ([]byte, error) {
	if err := f.unpack(); err != nil {
		return nil, err
	}
	line, err := newEntryReader(f.content, 0).line()
	return bytes.Clone(line), err
}

// parseEntry reads an entry. Zeros before it are left of a machine that lost power, or of
// a file that somebody truncated.
func parseEntry(line []byte, e *jsonlog.JSONLog) bool {
	e.Reset()
	return json.Unmarshal(bytes.TrimLeft(line, "\x00"), e) == nil && e.Stream != ""
}
