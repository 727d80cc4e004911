package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

func TestLastWordsAreTheLastOfAFile(t *testing.T) {
	a := &Agent{files: files.New(files.Config{Dirs: pods.Dirs{Root: t.TempDir()}})}
	pod := testPod()
	pod.Spec.Containers = []v1.Container{app("app")}
	path := a.files.MessagePath(pod.UID, "app", 0)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("trace\n", 1000) + "panic: no disk"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	words := func() string {
		return a.terminationMessage(t.Context(), pod, newPodState(pods.RefOf(pod)))(pods.Instance{Pod: pods.RefOf(pod), ContainerName: "app"})
	}
	if want := text[len(text)-4096:]; words() != want {
		t.Errorf("%d bytes that end with %.20q", len(words()), words()[len(words())-20:])
	}
	for range 5 {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, app("init"))
	}
	if got := len(words()); got != 2048 { // a sixth of what all containers of a Pod may say
		t.Errorf("%d bytes in a Pod of six containers", got)
	}
}
