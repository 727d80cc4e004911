package verdict

import (
	"fmt"
	"strings"

	"github.com/kube-lite/kube-lite/manifest"
)

// checkFile is what a file of checks holds.
type checkFile struct {
	Checks []Check `json:"checks"`
}

// ParseChecks reads a file of checks, whose format docs/ci/README.md describes. What is wrong with it is said as of a
// manifest: file, line and column, and what was probably meant.
func ParseChecks(name string, data []byte) ([]Check, []manifest.Problem) {
	var file checkFile
	at, problems := manifest.Read(name, data, &file)
	if len(problems) > 0 {
		return nil, problems
	}
	if len(file.Checks) == 0 {
		return nil, []manifest.Problem{at("checks", "there is no check in it")}
	}
	for n := range file.Checks {
		if m := file.Checks[n].prepare(); m != nil {
			problems = append(problems, at(pathOf(n, m.field), m.text))
		}
	}
	return file.Checks, problems
}

// pathOf is that of a field of one of the checks.
func pathOf(n int, field string) string {
	return strings.TrimSuffix(fmt.Sprintf("checks[%d].%s", n, field), ".")
}
