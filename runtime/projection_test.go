package runtime

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fromMap is a volume of the ConfigMap of its name.
func fromMap(name string) v1.Volume {
	return v1.Volume{Name: name, VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: name}}}}
}

func TestEveryVolumeThatIsMissingIsNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{fromMap("one"), scratch("here", ""), fromMap("two")} })
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.wantEvent("web", `FailedMount: MountVolume.SetUp failed for volume "one" : configmap "one" not found`)
		r.wantEvent("web", `FailedMount: MountVolume.SetUp failed for volume "two" : configmap "two" not found`)
	})
}

func TestRestartedAgentLeavesProjectedFilesAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		maps := r.client.CoreV1().ConfigMaps("ns")
		config := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cm"}, Data: map[string]string{"color": "red"}}
		if _, err := maps.Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{fromMap("cm")} })
		volume := r.agent.dirs.Volume("uid-web", fromMap("cm"))
		read := func() (link, color string) {
			t.Helper()
			link, err := os.Readlink(filepath.Join(volume, "..data"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(volume, "color"))
			if err != nil {
				t.Fatal(err)
			}
			return link, string(text)
		}
		before, _ := read()
		r.stop()
		r.start()
		if after, color := read(); after != before || color != "red" {
			t.Errorf("programs that watch %s were told of a change: %s, %s", before, after, color)
		}
		r.stop()
		config.Data["color"] = "green"
		if _, err := maps.Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.start()
		if after, color := read(); after == before || color != "green" {
			t.Errorf("what changed meanwhile is not there: %s", color)
		}
	})
}
