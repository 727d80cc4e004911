package docker

import "testing"

func TestStopSignalHasTheAPIsName(t *testing.T) {
	for declared, want := range map[string]string{
		"": "SIGTERM", "SIGQUIT": "SIGQUIT", "quit": "SIGQUIT", "9": "SIGKILL", "34": "SIGRTMIN", "37": "SIGRTMIN+3",
		"RTMIN+3": "SIGRTMIN+3", "49": "SIGRTMIN+15", "50": "SIGRTMAX-14", "64": "SIGRTMAX", "no such": "", "999": "",
	} {
		if got := stopSignal(declared); got != want {
			t.Errorf("%q is %q, want %q", declared, got, want)
		}
	}
}
