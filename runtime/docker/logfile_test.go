package docker

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/daemon/logger/jsonfilelog/jsonlog"
)

// logDriverFake writes a log as Docker's json-file driver does. Its time goes on by a
// minute with each line.
type logDriverFake struct {
	t    *testing.T
	path string
	size int  // of a full file, in bytes
	gzip bool // compress what is rotated
	file *os.File
	now  time.Time
}

func newLogDriver(t *testing.T) *logDriverFake {
	d := &logDriverFake{t: t, path: filepath.Join(t.TempDir(), "id-json.log"), size: 1 << 30, now: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}
	d.open()
	t.Cleanup(func() { d.file.Close() })
	return d
}

func (d *logDriverFake) check(err error) {
	d.t.Helper()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Error(err)
	}
}

func (d *logDriverFake) open() {
	file, err := os.OpenFile(d.path, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o640)
	d.check(err)
	d.file = file
}

// piece writes an entry of the current minute.
func (d *logDriverFake) piece(stream, text string) {
	if at, _ := d.file.Seek(0, io.SeekCurrent); at >= int64(d.size) {
		d.rotate()
	}
	entry, err := json.Marshal(jsonlog.JSONLog{Log: text, Stream: stream, Created: d.now})
	d.check(err)
	_, err = d.file.Write(append(entry, '\n'))
	d.check(err)
}

// out writes entries to stdout, each in a minute of its own.
func (d *logDriverFake) out(texts ...string) {
	for _, text := range texts {
		d.now = d.now.Add(time.Minute)
		d.piece(streamOut, text)
	}
}

func (d *logDriverFake) rotate() {
	d.check(d.file.Close())
	extension := ""
	if d.gzip {
		extension = ".gz"
	}
	for n := maxLogFiles() - 1; n > 1; n-- {
		d.check(os.Rename(d.path+"."+strconv.Itoa(n-1)+extension, d.path+"."+strconv.Itoa(n)+extension))
	}
	d.check(os.Rename(d.path, d.path+".1"))
	d.open()
	if d.gzip {
		d.compress(d.path + ".1")
	}
}

func (d *logDriverFake) compress(name string) {
	text, err := os.ReadFile(name)
	d.check(err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(text)
	d.check(w.Close())
	d.check(os.WriteFile(name+".gz", packed.Bytes(), 0o640))
	d.check(os.Remove(name))
}

// log opens what was written.
func (d *logDriverFake) log(opts LogOptions) *fileLog {
	d.t.Helper()
	files, err := openLogFiles(d.t.Context(), d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	l := &fileLog{path: d.path, opts: opts, files: files, out: &entryWriter{opts: opts}}
	if err := l.begin(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { l.Close() })
	return l
}

// read reads what was written, both streams as one.
func (d *logDriverFake) read(opts LogOptions) string {
	d.t.Helper()
	var text strings.Builder
	if err := d.log(opts).Copy(d.t.Context(), &text, &text); err != nil {
		d.t.Fatal(err)
	}
	return text.String()
}

var bothStreams = LogOptions{Stdout: true, Stderr: true}

func last(n int64) LogOptions { return LogOptions{Stdout: true, Stderr: true, Tail: &n} }

func TestLogsAreReadAsLines(t *testing.T) {
	full := strings.Repeat("x", messageSize)
	for name, c := range map[string]struct {
		write func(d *logDriverFake)
		opts  LogOptions
		want  string
	}{
		"all":                       {func(d *logDriverFake) { d.out("a\n", "b\n") }, bothStreams, "a\nb\n"},
		"nothing":                   {func(*logDriverFake) {}, bothStreams, ""},
		"nothing, its tail":         {func(*logDriverFake) {}, last(3), ""},
		"no line end at the end":    {func(d *logDriverFake) { d.out("a\n", "b") }, bothStreams, "a\nb"},
		"a tail of none":            {func(d *logDriverFake) { d.out("a\n", "b\n") }, last(0), ""},
		"a tail":                    {func(d *logDriverFake) { d.out("a\n", "b\n", "c\n") }, last(2), "b\nc\n"},
		"a tail of more than all":   {func(d *logDriverFake) { d.out("a\n", "b\n") }, last(9), "a\nb\n"},
		"a tail without a line end": {func(d *logDriverFake) { d.out("a\n", "b\n", "c") }, last(2), "b\nc"},
		"a long line counts once":   {func(d *logDriverFake) { d.out("a\n", "b\n"); long(d, streamOut, full, full, "\n") }, last(1), full + full + "\n"},
		"a long line and another":   {func(d *logDriverFake) { d.out("a\n"); long(d, streamOut, full, "y\n"); d.out("b\n") }, last(2), full + "y\nb\n"},
		"a line within a long one":  {within2Lines, last(2), full + "e\n" + full + "o\n"},
		"the last that ends counts": {within2Lines, last(1), full + full + "o\n"},
		"one stream":                {within2Lines, LogOptions{Stderr: true}, "before\ne\n"},
		"since": {func(d *logDriverFake) { d.out("a\n", "b\n", "c\n") },
			LogOptions{Stdout: true, Since: time.Date(2026, 1, 2, 3, 6, 0, 0, time.UTC)}, "b\nc\n"},
		"stamps": {func(d *logDriverFake) { d.out("a\n"); long(d, streamOut, full, "y\n"); d.out("\n") },
			LogOptions{Stdout: true, Timestamps: true},
			"2026-01-02T03:05:00.000000000Z a\n2026-01-02T03:06:00.000000000Z " + full + "y\n2026-01-02T03:07:00.000000000Z \n"},
		"what is no entry is left out": {func(d *logDriverFake) {
			d.out("a\n")
			_, _ = d.file.WriteString("\x00\x00\x00garbage\n\x00\x00\x00")
			d.out("b\n")
			_, _ = d.file.WriteString(`{"log":"c\n","stream":"stdout"`)
		}, bothStreams, "a\nb\n"},
		"and does not count": {func(d *logDriverFake) {
			d.out("a\n", "b\n")
			_, _ = d.file.WriteString(`{"log":"c\n","stream":"stdout"`)
		}, last(1), "b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newLogDriver(t)
			c.write(d)
			if got := d.read(c.opts); got != c.want {
				t.Errorf("got %d bytes %.60q, want %d bytes %.60q", len(got), got, len(c.want), c.want)
			}
		})
	}
}

// long writes the pieces of a line: all have the time of the first.
func long(d *logDriverFake, stream string, pieces ...string) {
	d.now = d.now.Add(time.Minute)
	for _, piece := range pieces {
		d.piece(stream, piece)
	}
}

// within2Lines writes a line of stderr between the pieces of one of stdout.
func within2Lines(d *logDriverFake) {
	full := strings.Repeat("x", messageSize)
	d.out("a\n")
	long(d, streamErr, "before\n")
	long(d, streamOut, full)
	d.piece(streamErr, "e\n")
	d.piece(streamOut, full)
	d.piece(streamOut, "o\n")
}

func TestRotatedLogsAreReadWhole(t *testing.T) {
	for name, packed := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			d := newLogDriver(t)
			d.size, d.gzip = 1000, packed
			var lines []string
			for n := range 50 { // 13 in each file
				lines = append(lines, fmt.Sprintf("line %02d\n", n))
				d.out(lines[n])
			}
			if files, _ := filepath.Glob(d.path + ".[1-9]*"); len(files) != 3 {
				t.Fatalf("the test rotated to %q", files)
			}
			for _, n := range []int{50, 49, 40, 14, 13, 12, 1, 0} {
				if got, want := d.read(last(int64(n))), strings.Join(lines[50-n:], ""); got != want {
					t.Errorf("the last %d lines are %q, want %q", n, got, want)
				}
			}
			if got, want := d.read(bothStreams), strings.Join(lines, ""); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// gauge is a writer that lets others wait for what it gets.
type gauge struct {
	mu   sync.Mutex
	more *sync.Cond
	text strings.Builder
}

func newGauge() *gauge { g := &gauge{}; g.more = sync.NewCond(&g.mu); return g }

func (g *gauge) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.more.Broadcast()
	return g.text.Write(p)
}

// await waits for so many bytes.
func (g *gauge) await(size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.text.Len() < size {
		g.more.Wait()
	}
}

func (g *gauge) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// follow reads on until end is called, and returns what was read.
func (d *logDriverFake) follow(opts LogOptions) (got *gauge, end func() error) {
	d.t.Helper()
	opts.Follow = true
	l := d.log(opts)
	over, ended, got := make(chan struct{}), make(chan error, 1), newGauge()
	l.ended = func(ctx context.Context) error {
		select {
		case <-over:
		case <-ctx.Done():
		}
		return nil
	}
	go func() { ended <- l.Copy(d.t.Context(), got, got) }()
	return got, func() error { close(over); return <-ended }
}

func TestFollowedLogIsReadOnceThroughRotations(t *testing.T) {
	for name, packed := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			d := newLogDriver(t)
			d.size, d.gzip = 1000, packed
			d.out("line 0\n")
			got, end := d.follow(bothStreams)
			want := "line 0\n"
			for n := 1; n < 3000; n++ {
				got.await(len(want) - 400) // no more than the files keep
				line := fmt.Sprintf("line %d\n", n)
				d.out(line)
				want += line
			}
			d.out("unfinished")
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if got.String() != want+"unfinished" {
				t.Errorf("got %d bytes, want %d", len(got.String()), len(want)+len("unfinished"))
			}
		})
	}
}

func TestFollowedLogThatRotatesUnreadGoesOnWithWhatIsLeft(t *testing.T) {
	d := newLogDriver(t)
	d.size = 1
	d.out("read\n")
	l := d.log(bothStreams)
	l.opts.Follow, l.ended = true, func(context.Context) error { return nil }
	for n := range 9 {
		d.out(fmt.Sprintf("line %d\n", n))
	}
	got := newGauge()
	if err := l.Copy(t.Context(), got, got); err != nil || got.String() != "read\nline 4\nline 5\nline 6\nline 7\nline 8\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFollowedLogThatIsTruncatedBeginsAgain(t *testing.T) {
	d := newLogDriver(t)
	d.out("before, a longer line\n")
	got, end := d.follow(last(1))
	got.await(len("before, a longer line\n"))
	if err := os.Truncate(d.path, 0); err != nil {
		t.Fatal(err)
	}
	_, _ = d.file.Seek(0, io.SeekStart)
	d.out("after\n")
	if err := end(); err != nil || got.String() != "before, a longer line\nafter\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFollowedLogOfARemovedContainerEnds(t *testing.T) {
	d := newLogDriver(t)
	d.out("a\n")
	got, end := d.follow(bothStreams)
	got.await(2)
	d.out("b\n")
	if err := os.Remove(d.path); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil || got.String() != "a\nb\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEntryThatIsBeingWrittenIsReadLater(t *testing.T) {
	d := newLogDriver(t)
	d.out("a\n")
	got, end := d.follow(bothStreams)
	for _, half := range []string{`{"log":"b\n","str`, `eam":"stdout","time":"2026-01-02T03:04:05Z"}` + "\n"} {
		got.await(2)
		if _, err := d.file.WriteString(half); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(); err != nil || got.String() != "a\nb\n" {
		t.Errorf("got %q, %v", got, err)
	}
}
