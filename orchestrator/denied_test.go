package orchestrator_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/kube-lite/kube-lite/apiserver"
)

// auditPolicy has one event for each request that has been answered.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
`

func (c *cluster) auditLog() string { return filepath.Join(c.dir, "audit.log") }

// audit has the API server record who asks for what.
func (c *cluster) audit() apiserver.Audit {
	c.t.Helper()
	policy := filepath.Join(c.dir, "audit.yaml")
	fatal(c.t, os.WriteFile(policy, []byte(auditPolicy), 0o600))
	return apiserver.Audit{Policy: policy, Log: c.auditLog()}
}

// wantNothingDenied reads the log: each loop has its own user, and that user the rights for all that the loop does.
func (c *cluster) wantNothingDenied() {
	file, err := os.Open(c.auditLog())
	if errors.Is(err, fs.ErrNotExist) {
		return // not one request
	}
	fatal(c.t, err)
	defer file.Close()
	told := map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditv1.Event
		fatal(c.t, json.Unmarshal(lines.Bytes(), &e))
		denied := e.ResponseStatus != nil && (e.ResponseStatus.Code == http.StatusForbidden || e.ResponseStatus.Code == http.StatusUnauthorized)
		if line := e.User.Username + " may not " + e.Verb + " " + e.RequestURI; denied && e.Annotations["authorization.k8s.io/decision"] == "forbid" && !told[line] {
			told[line] = true
			c.t.Errorf("%s: %s", line, e.ResponseStatus.Message)
		}
	}
	fatal(c.t, lines.Err())
	fatal(c.t, os.Remove(c.auditLog()))
}
