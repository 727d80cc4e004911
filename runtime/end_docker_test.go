package runtime

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who is deleted by force is told to end all the same, and whoever does not heed it is gone soon: one that is paused
// cannot.
func TestForcedDeletionTellsItsContainersOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir := t.TempDir()
	pod := r.declare("web", func(p *v1.Pod) {
		polite, paused := r.container("polite", "sleep", "write=/v/bye=yes"), r.container("paused", "sleep")
		withVolume(&p.Spec, &polite, "v", hostPath(dir, v1.HostPathDirectory))
		p.Spec.Containers = []v1.Container{polite, paused}
	})
	r.await("web", "ready", ready)
	r.byHand(pod, "paused", 0, "pause")
	if err := r.client.CoreV1().Pods("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.noContainers()
	if got, err := os.ReadFile(filepath.Join(dir, "bye")); err != nil || string(got) != "yes" {
		t.Errorf("the container left %q, %v", got, err)
	}
}
