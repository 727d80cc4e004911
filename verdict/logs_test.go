package verdict

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWriteLogs(t *testing.T) {
	r := newRig(t,
		"apiVersion: v1\nkind: Secret\nmetadata: {name: key, annotations: {kubectl.kubernetes.io/last-applied-configuration: hunter2}}\ndata: {password: aHVudGVyMg==}",
		pod+"spec: {containers: [{name: a}]}\nstatus: {containerStatuses: [{name: a, containerID: 'docker://1', lastState: {terminated: {exitCode: 1}}}, {name: b, state: {waiting: {}}}]}")
	dir := filepath.Join(t.TempDir(), "logs")
	if err := r.WriteLogs(t.Context(), dir, "default"); err != nil {
		t.Fatal(err)
	}
	var files []string
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			files = append(files, name)
		}
		return err
	})
	const want = "events.txt objects/default/pod-web.yaml objects/default/secret-key.yaml pods/default/web/a.log pods/default/web/a.previous.log"
	if got := strings.Join(files, " "); got != want {
		t.Errorf("the files are %s, want %s", got, want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "objects/default/secret-key.yaml"))
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "aHVudGVyMg") || !strings.Contains(string(text), "password: (not kept)") {
		t.Errorf("the Secret is kept as %s, %v", text, err)
	}
}

func TestEventsText(t *testing.T) {
	at := func(minute int) metav1.Time { return metav1.NewTime(time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC)) }
	got := eventsText([]corev1.Event{
		{LastTimestamp: at(2), Type: "Warning", Reason: "BackOff", Message: "again\n", Count: 3, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web"}},
		{EventTime: metav1.MicroTime(at(1)), Type: "Normal", Reason: "Scheduled", Message: "to n", InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web"}},
	})
	const want = "2026-01-01T12:01:00Z Normal  Scheduled pod/web: to n\n2026-01-01T12:02:00Z Warning BackOff pod/web: again (3 times)\n"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
