package apiserver

import (
	"errors"
	"fmt"
	"path/filepath"

	"k8s.io/apiserver/pkg/audit/policy"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
)

// Audit says which requests are recorded, and where. The zero value records none.
// https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
type Audit struct {
	// Policy is a file with an audit.k8s.io/v1 Policy.
	Policy string
	// Log is the file that the events are appended to, one line of JSON each; "-" is standard output. It is rotated
	// at 100 MB.
	Log string
}

// WithDefaults makes the paths absolute and checks the policy. The error names the flag to change.
func (a Audit) WithDefaults() (Audit, error) {
	switch {
	case a == Audit{}:
		return a, nil
	case a.Log == "":
		return a, errors.New("--audit-policy needs a file to record to: add --audit-log")
	case a.Policy == "":
		return a, errors.New("--audit-log needs a policy that says what is recorded: add --audit-policy")
	}
	var err error
	if a.Policy, err = filepath.Abs(a.Policy); err != nil {
		return a, fmt.Errorf("--audit-policy: %w", err)
	}
	if _, err = policy.LoadPolicyFromFile(a.Policy); err != nil {
		return a, fmt.Errorf("--audit-policy: %w", err)
	}
	if a.Log == "-" {
		return a, nil
	}
	if a.Log, err = filepath.Abs(a.Log); err != nil {
		return a, fmt.Errorf("--audit-log: %w", err)
	}
	return a, nil
}

// apply has the server record requests as kube-apiserver does with --audit-policy-file and --audit-log-path.
func (a Audit) apply(c *genericapiserver.Config) error {
	if a == (Audit{}) {
		return nil
	}
	o := options.NewAuditOptions()
	o.PolicyFile, o.LogOptions.Path = a.Policy, a.Log
	if err := o.ApplyTo(c); err != nil {
		return fmt.Errorf("apiserver: audit: %w", err)
	}
	return nil
}
