package runtime

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestDirectoryKeepsTheModeThatItsUsersGaveIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{scratch("v", "")} })
		dir := r.agent.dirs.Volume("uid-web", scratch("v", ""))
		mode := func() os.FileMode {
			t.Helper()
			info, err := os.Stat(dir)
			if err != nil {
				t.Fatal(err)
			}
			return info.Mode().Perm()
		}
		if got := mode(); got != 0o777 {
			t.Errorf("a new one has %v", got)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.start()
		r.wantState("web", "app", "running 1")
		if got := mode(); got != 0o700 {
			t.Errorf("after a restart of the agent and the container it has %v", got)
		}
	})
}

func TestVolumesGoWhenTheirPodIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy, p.Spec.Volumes = v1.RestartPolicyNever, []v1.Volume{scratch("v", "")}
		})
		fill(t, filepath.Join(r.agent.dirs.Volume("uid-job", scratch("v", "")), "x"), 1000)
		r.engine.exit("k8s_app_job_ns_uid-job_0", 0)
		r.settle()
		if _, err := os.Stat(r.agent.dirs.Volumes("uid-job")); !os.IsNotExist(err) {
			t.Errorf("they are left: %v", err)
		}
		r.wantNames("k8s_app_job_ns_uid-job_0 exited") // its log can be read
	})
}
