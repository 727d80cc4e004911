package verdict

import (
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/why"
)

// What is merely slow is never called hopeless. So a cause has to be one that time does not mend, it has to last, and for
// those causes that the end of something else may mend nothing else may be under way.

// patience is how long a cause has to last, on an instance of the run's own and on any other cluster.
type patience struct {
	near, far time.Duration
	// alone says that the cause counts only while nothing else is on its way: a program may end again and again until
	// the one that it needs is there, a node has room again and a quota is free again when a Job is done.
	alone bool
}

var patienceOf = map[why.Cause]patience{
	why.ImageMissing: {near: 3 * time.Second, far: 3 * time.Second},
	// A registry may be away for a moment.
	why.RegistryUnreachable: {near: 30 * time.Second, far: 30 * time.Second},
	why.CrashLoop:           {alone: true},
	// Elsewhere an autoscaler may be about to add a node; it takes a minute or two.
	why.Unschedulable: {near: 10 * time.Second, far: 3 * time.Minute, alone: true},
	why.Refused:       {near: 10 * time.Second, far: 30 * time.Second, alone: true},
}

// explained is what why said of an object that is not as declared.
type explained struct {
	kind  string
	cause why.Cause // empty: none that lasts
	at    why.Object
	since time.Time // when the cause was first said of that object
}

// runs tells of a kind that does something by itself; others wait for those that do.
func (e explained) runs() bool {
	return !slices.Contains([]string{"Service", "Ingress", "PersistentVolumeClaim", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute"}, e.kind)
}

// hopeless tells which of the objects will not become ready, if one is. A Job has a limit of failures of its own.
func hopeless(all []explained, now time.Time, near bool) (index int, found bool) {
	busy := slices.ContainsFunc(all, func(e explained) bool { return e.cause == "" && e.runs() })
	for n, e := range all {
		p, known := patienceOf[e.cause]
		if !known || p.alone && busy || e.cause == why.CrashLoop && e.kind == "Job" {
			continue
		}
		limit := p.far
		if near {
			limit = p.near
		}
		if now.Sub(e.since) >= limit {
			return n, true
		}
	}
	return 0, false
}
