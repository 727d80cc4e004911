package verdict

import "time"

// The groups of results.
const (
	Objects = "objects"
	Checks  = "checks"
)

// Result is what became of one object, or of one check.
type Result struct {
	Group     string // Objects or Checks
	Name      string // "Deployment web", "GET http://web/healthz -> 200"
	Namespace string // of an object
	Took      time.Duration
	Text      string // what was found: "2 of 2 pods ready"
	Failed    bool
	Skipped   bool   // a check that was not tried, since objects are not as declared
	Stopped   string // why the run did not wait any longer
	Cause     string // the link that the answer of why leads to; several objects may have the same
	Detail    string // of what failed, several lines: the answer of why, a response
}

// passed tells whether nothing failed.
func passed(all []Result) bool {
	for _, r := range all {
		if r.Failed {
			return false
		}
	}
	return true
}
