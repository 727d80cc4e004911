package streaming

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const logsPath = "/containerLogs/default/web/"

func TestLogsOfAnEndedContainer(t *testing.T) {
	r := newRig(t)
	for name, args := range map[string][]string{
		"lines":   {"lines", "30000"},
		"both":    {"say", "grüße 世界 🚢", "to stderr"},
		"long":    {"long", "1000000"},
		"exactly": {"long", "16384"},
	} {
		r.finish(t, name, r.start(t, name, docker.ContainerSpec{}, args...))
	}
	r.finish(t, "terminal", r.start(t, "terminal", docker.ContainerSpec{TTY: true}, "long", "1000000"))

	t.Run("all of it", func(t *testing.T) {
		_, got := r.get(t, logsPath+"lines")
		if n := strings.Count(got, "\n"); n != 30000 || !strings.HasPrefix(got, "line 1\nline 2\n") || !strings.HasSuffix(got, "line 30000\n") {
			t.Errorf("got %d lines, %.20q to %q", n, got, got[max(0, len(got)-20):])
		}
	})
	t.Run("tailLines takes the last lines", func(t *testing.T) {
		if _, got := r.get(t, logsPath+"lines?tailLines=2"); got != "line 29999\nline 30000\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("tailLines=0 takes none", func(t *testing.T) {
		if status, got := r.get(t, logsPath+"lines?tailLines=0"); status != http.StatusOK || got != "" {
			t.Errorf("got %d %q", status, got)
		}
	})
	t.Run("limitBytes cuts within a line", func(t *testing.T) {
		if _, got := r.get(t, logsPath+"lines?limitBytes=10"); got != "line 1\nlin" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("limitBytes counts the timestamps", func(t *testing.T) {
		if _, got := r.get(t, logsPath+"lines?limitBytes=36&timestamps=true"); len(got) != 36 || !strings.HasSuffix(got, " line ") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("both streams, Unicode as it is", func(t *testing.T) {
		_, got := r.get(t, logsPath+"both")
		if !strings.Contains(got, "grüße 世界 🚢\n") || !strings.Contains(got, "to stderr\n") || len(got) != len("grüße 世界 🚢\nto stderr\n") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("stream chooses one", func(t *testing.T) {
		if _, got := r.get(t, logsPath+"both?stream=Stderr"); got != "to stderr\n" {
			t.Errorf("got %q", got)
		}
		if _, got := r.get(t, logsPath+"both?stream=Stdout"); got != "grüße 世界 🚢\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("sinceSeconds and sinceTime", func(t *testing.T) {
		if _, got := r.get(t, logsPath+"both?stream=Stdout&sinceSeconds=3600"); got == "" {
			t.Error("a line of the last hour is missing")
		}
		later := url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))
		if status, got := r.get(t, logsPath+"both?sinceTime="+later); status != http.StatusOK || got != "" {
			t.Errorf("since an hour from now got %d %q", status, got)
		}
	})
	t.Run("a line of a megabyte stays one line", func(t *testing.T) {
		want := "before\n" + strings.Repeat("x", 1000000) + "\nafter\n"
		if _, got := r.get(t, logsPath+"long"); got != want {
			t.Errorf("got %d bytes, want %d", len(got), len(want))
		}
	})
	for name, length := range map[string]int{"long": 1000000, "exactly": 16384, "terminal": 1000000} {
		t.Run("timestamps stand at the beginning of lines only: "+name, func(t *testing.T) {
			_, got := r.get(t, logsPath+name+"?timestamps=true")
			got = strings.ReplaceAll(got, "\r\n", "\n") // a terminal's line ends
			const stamp = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z `
			want := regexp.MustCompile(`^` + stamp + `before\n` + stamp + `(x+)\n` + stamp + `after\n$`)
			if m := want.FindStringSubmatch(got); m == nil || len(m[1]) != length {
				t.Errorf("got %d bytes, with stamps at %v", len(got), regexp.MustCompile(stamp).FindAllStringIndex(got, -1))
			}
		})
	}
	t.Run("follow ends at once", func(t *testing.T) {
		if _, got := r.get(t, logsPath+"lines?follow=true&tailLines=1"); got != "line 30000\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestFollowedLogEndsWithTheContainer(t *testing.T) {
	r := newRig(t)
	id := r.start(t, "cat", docker.ContainerSpec{Stdin: true, StdinOnce: true}, "cat")
	in, keyboard := io.Pipe()
	attached := make(chan error, 1)
	go func() { attached <- r.engine.Attach(t.Context(), id, docker.Streams{In: in}) }()

	resp, leave := r.open(t, logsPath+"cat?follow=true")
	defer leave()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %s", resp.Status)
	}
	var got safeBuffer
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(&got, resp.Body); ended <- err }()

	for _, line := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(keyboard, line); err != nil {
			t.Fatal(err)
		}
		within(t, "the line in the followed log", func() bool { return strings.HasSuffix(got.String(), line) })
	}
	keyboard.Close()
	if err := <-ended; err != nil {
		t.Errorf("the followed log broke off: %v", err)
	}
	if want := "one\ntwo\neof\n"; got.String() != want {
		t.Errorf("followed %q, want %q", got.String(), want)
	}
	if err := <-attached; err != nil {
		t.Error(err)
	}
}

func TestFollowedLogBreaksOffWithTheAgent(t *testing.T) {
	r := newRig(t)
	r.start(t, "app", docker.ContainerSpec{}, "sleep")
	resp, leave := r.open(t, logsPath+"app?follow=true")
	defer leave()
	r.end(t)
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the log seems to end, though the container runs")
	}
}

func TestFollowedLogEndsWithTheClient(t *testing.T) {
	r := newRig(t)
	r.start(t, "app", docker.ContainerSpec{}, "sleep")
	_, leave := r.open(t, logsPath+"app?follow=true")
	leave()
	within(t, "the session to end", func() bool {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		return len(r.server.cancels) == 0
	})
}

func TestLogRequestsThatAreRefused(t *testing.T) {
	r := newRig(t)
	r.setStatus("creating", "", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}})
	r.finish(t, "app", r.start(t, "app", docker.ContainerSpec{}, "exit", "0"))
	r.setStatus("gone", "0123456789ab", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "docker://0123456789ab"}})
	for _, c := range []struct {
		path   string
		status int
		words  string
	}{
		{"/containerLogs/default/nope/app", 404, `pod "nope" does not exist`},
		{logsPath + "nope", 404, `container "nope" not found in pod "web"`},
		{logsPath + "creating", 400, `container "creating" in pod "web" is waiting to start: ContainerCreating`},
		{logsPath + "app?previous=true", 400, `previous terminated container "app" in pod "web" not found`},
		{logsPath + "gone", 400, `unable to retrieve container logs for docker://0123456789ab`},
		{logsPath + "app?tailLines=-1", 422, `tailLines`},
		{logsPath + "app?tailLines=x", 400, `unable to decode query`},
		{logsPath + "app?sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", 422, "at most one of `sinceTime` or `sinceSeconds`"},
		{"/containerLogs/default/web", 404, ""},
	} {
		if status, body := r.get(t, c.path); status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("GET %s: got %d %q, want %d %q", c.path, status, body, c.status, c.words)
		}
	}
}

func TestWhichContainersLogIsMeant(t *testing.T) {
	running := &corev1.ContainerStateRunning{}
	ended := func(id string) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ContainerID: id}
	}
	waiting := func(reason string) *corev1.ContainerStateWaiting {
		return &corev1.ContainerStateWaiting{Reason: reason}
	}
	for _, c := range []struct {
		name        string
		state, last corev1.ContainerState
		now, before string // an ID, or the end of an error
	}{
		{"running for the first time", corev1.ContainerState{Running: running}, corev1.ContainerState{},
			"id", "not found"},
		{"running again", corev1.ContainerState{Running: running}, corev1.ContainerState{Terminated: ended("docker://old")},
			"id", "old"},
		{"ended", corev1.ContainerState{Terminated: ended("docker://id")}, corev1.ContainerState{Terminated: ended("docker://old")},
			"id", "old"},
		{"ended without having run", corev1.ContainerState{Terminated: ended("")}, corev1.ContainerState{Terminated: ended("docker://old")},
			"old", "old"},
		{"ended without ever having run", corev1.ContainerState{Terminated: ended("")}, corev1.ContainerState{},
			"is terminated", "not found"},
		{"crash loop", corev1.ContainerState{Waiting: waiting("CrashLoopBackOff")}, corev1.ContainerState{Terminated: ended("docker://old")},
			"old", "old"},
		{"bad image", corev1.ContainerState{Waiting: waiting("ErrImagePull")}, corev1.ContainerState{},
			"is waiting to start: image can't be pulled", "not found"},
		{"bad image, later", corev1.ContainerState{Waiting: waiting("ImagePullBackOff")}, corev1.ContainerState{},
			"is waiting to start: trying and failing to pull image", "not found"},
		{"no state", corev1.ContainerState{}, corev1.ContainerState{},
			"is waiting to start - no logs yet", "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "app", ContainerID: "docker://id", State: c.state, LastTerminationState: c.last},
			}}}
			for previous, want := range map[bool]string{false: c.now, true: c.before} {
				got, err := loggedContainer(pod, "app", previous)
				if err != nil {
					got = err.Error()
				}
				if got != want && (err == nil || !strings.HasSuffix(got, want)) {
					t.Errorf("previous=%t: got %q, want %q", previous, got, want)
				}
			}
		})
	}
}
