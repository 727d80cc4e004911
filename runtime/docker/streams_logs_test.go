package docker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// logOf reads a log, both streams as one.
func (d *dockerTest) logOf(id string, opts LogOptions) string {
	d.t.Helper()
	opts.Stdout, opts.Stderr = true, true
	log, err := d.Logs(d.t.Context(), id, opts)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	var text bytes.Buffer
	if err := log.Copy(d.t.Context(), &text, &text); err != nil {
		d.t.Fatal(err)
	}
	return text.String()
}

func TestFollowedLogHasTheUnfinishedLastLine(t *testing.T) {
	d := newDockerTest(t)
	for n := range 10 {
		spec := d.spec(fmt.Sprint("print", n))
		spec.Cmd = []string{"print", "unfinished"}
		if got := d.logOf(d.run(spec), LogOptions{Follow: true}); got != "unfinished" {
			t.Errorf("run %d: got %q", n, got)
		}
	}
}

func TestFollowedLogIsWholeWhenDockerRotatesIt(t *testing.T) {
	const lines = 400_000 // of 80 bytes each as Docker keeps them: three full files
	d := newDockerTest(t)
	spec := d.spec("lines")
	spec.Cmd = []string{"lines", fmt.Sprint(lines)}
	id := d.run(spec)
	for _, opts := range []LogOptions{{Follow: true}, {}} {
		rest, n := d.logOf(id, opts), 1
		for ; n <= lines; n++ {
			line, more, _ := strings.Cut(rest, "\n")
			if line != fmt.Sprint("line ", n) {
				break
			}
			rest = more
		}
		if n != lines+1 || rest != "" {
			t.Errorf("follow=%t: after line %d of %d comes %.40q", opts.Follow, n-1, lines, rest)
		}
	}
}

func TestLogsOfOtherDriversAreReadByDocker(t *testing.T) {
	d := newDockerTest(t)
	created, err := d.cli.ContainerCreate(t.Context(),
		&container.Config{Image: d.image, Cmd: []string{"say", "out", "err"}, Labels: d.labels},
		&container.HostConfig{LogConfig: container.LogConfig{Type: "local"}}, nil, nil, d.unique+"-local")
	if err == nil {
		err = d.Start(t.Context(), created.ID)
	}
	if err == nil {
		_, err = d.Wait(t.Context(), created.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := d.logOf(created.ID, LogOptions{}); got != "out\nerr\n" && got != "err\nout\n" {
		t.Errorf("got %q", got)
	}
}
