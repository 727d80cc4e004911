package runtime

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestVariableComesFromAFileOfAVolume(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		declare := func(name, path, key string, optional *bool) {
			r.pod(name, func(p *v1.Pod) {
				p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
				p.Spec.Containers[0].Env = []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: "v", Path: path, Key: key, Optional: optional}}}}
			})
		}
		declare("web", "env", "KEY", nil)
		r.wantState("web", "app", "waiting CreateContainerConfigError 0")
		r.wantEvent("web", "Failed: Error: couldn't parse env file")
		dir := r.agent.dirs.Volume("uid-web", r.get("web").Spec.Volumes[0])
		if err := os.WriteFile(filepath.Join(dir, "env"), []byte("KEY='from a file'\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r.after(configRetry)
		r.wantState("web", "app", "running 0")
		if env := r.engine.get("k8s_app_web_ns_uid-web_0").spec.Env; len(env) == 0 || env[len(env)-1] != "X=from a file" {
			t.Errorf("variables %q", env)
		}
	})
}
