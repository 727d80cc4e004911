package verdict

import (
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/why"
)

// What is merely slow is never called hopeless.
func TestHopeless(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	said := func(kind string, cause why.Cause, ago time.Duration) explained {
		return explained{kind: kind, cause: cause, since: now.Add(-ago)}
	}
	slow := said("Deployment", "", time.Hour)
	for _, f := range []struct {
		name string
		all  []explained
		near bool
		want bool
	}{
		{"slow", []explained{slow}, true, false},
		{"an image that has been missing for a moment", []explained{said("Deployment", why.ImageMissing, time.Second)}, true, false},
		{"an image that stays missing", []explained{said("Deployment", why.ImageMissing, 3*time.Second)}, true, true},
		{"the same while something else is slow", []explained{slow, said("Deployment", why.ImageMissing, 3*time.Second)}, true, true},
		{"a registry that is away for a moment", []explained{said("Pod", why.RegistryUnreachable, 10*time.Second)}, true, false},
		{"a registry that stays away", []explained{said("Pod", why.RegistryUnreachable, 30*time.Second)}, true, true},
		{"three restarts", []explained{said("StatefulSet", why.CrashLoop, 0)}, true, true},
		{"three restarts while what it may wait for is on its way", []explained{said("StatefulSet", why.CrashLoop, time.Minute), slow}, true, false},
		{"three restarts, and its Service waits for it", []explained{said("StatefulSet", why.CrashLoop, 0), said("Service", "", time.Minute)}, true, true},
		{"a Job has a limit of its own", []explained{said("Job", why.CrashLoop, time.Minute)}, true, false},
		{"no room", []explained{said("Pod", why.Unschedulable, 10*time.Second)}, true, true},
		{"no room, where a node may be added", []explained{said("Pod", why.Unschedulable, time.Minute)}, false, false},
		{"no room while a Job is at work", []explained{said("Pod", why.Unschedulable, time.Minute), said("Job", "", 0)}, true, false},
		{"a quota", []explained{said("Deployment", why.Refused, 10*time.Second)}, true, true},
	} {
		if _, got := hopeless(f.all, now, f.near); got != f.want {
			t.Errorf("%s: hopeless %v, want %v", f.name, got, f.want)
		}
	}
}
