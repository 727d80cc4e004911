package runtime

import "testing"

func TestProcessesOfAContainerAreBoundedOnDocker(t *testing.T) {
	r := newDockerRig(t)
	r.stop()
	r.opts.PidsLimit = 123
	r.start()
	pod := r.create("web", r.container("one", "sleep"))
	r.await("web", "ready", ready)
	if got := cgroupFile(t, r.instanceOf(pod, "one", 0).PID, "pids", "pids.max", "pids.max"); got != "123" {
		t.Errorf("the kernel allows it %s processes", got)
	}
}
