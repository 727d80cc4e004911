package apiserver

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRequestsAreRecordedAsThePolicySays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	s := serve(t, dir, func(c *Config) {
		c.Audit = Audit{Log: log, Policy: writeFile(t, filepath.Join(dir, "policy.yaml"), `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  users: [kubernetes-admin]
  resources: [{resources: [configmaps]}]
- level: None
`)}
	})
	admin, ctx := s.admin(t), t.Context()
	if _, err := admin.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "recorded"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var e auditv1.Event
	if err := json.Unmarshal(lines[0], &e); err != nil || len(lines) != 1 {
		t.Fatalf("the log has %d lines, want one (%v): %s", len(lines), err, text)
	}
	if e.APIVersion != "audit.k8s.io/v1" || e.Verb != "create" || e.User.Username != "kubernetes-admin" || e.ResponseStatus.Code != 201 ||
		!strings.Contains(string(e.RequestObject.Raw), "recorded") {
		t.Errorf("the event is %s", lines[0])
	}
}

func TestAuditFlags(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, filepath.Join(dir, "good.yaml"), "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
	bad := writeFile(t, filepath.Join(dir, "bad.yaml"), "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]\n")
	for _, c := range []struct {
		audit Audit
		want  string
	}{
		{Audit{}, ""},
		{Audit{Policy: good, Log: "-"}, ""},
		{Audit{Policy: good}, "add --audit-log"},
		{Audit{Log: "log"}, "add --audit-policy"},
		{Audit{Policy: filepath.Join(dir, "none.yaml"), Log: "log"}, "--audit-policy: "},
		{Audit{Policy: bad, Log: "log"}, "Everything"},
	} {
		_, err := c.audit.WithDefaults()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.audit, err, c.want)
		}
	}
	relative, err := Audit{Policy: good, Log: "log"}.WithDefaults()
	if err != nil || !filepath.IsAbs(relative.Log) {
		t.Errorf("a relative log is %q, %v: the daemon may run in another directory", relative.Log, err)
	}
}
