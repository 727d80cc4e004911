package e2e

import (
	"strings"
	"testing"
)

func TestBadManifestsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	ns := newNamespace(t, "bad-manifests")
	for file, want := range map[string][]string{
		"syntax":        {"testdata/bad/syntax.yaml:8:"},
		"unknown-field": {`testdata/bad/unknown-field.yaml:8:5: spec.containers[0].imagee: `, `did you mean "image"?`},
		"unknown-kind":  {`testdata/bad/unknown-kind.yaml:2:7: kind: `, `did you mean "Deployment"?`},
		"duplicate-key": {"testdata/bad/duplicate-key.yaml:5:3: metadata.name: "},
		"wrong-type":    {"testdata/bad/wrong-type.yaml:6:13: spec.replicas: "},
		"several": {
			"testdata/bad/several.yaml:14:3: spec.selectr: ",
			"testdata/bad/several.yaml:17:11: spec.ports[0].port: ",
			"testdata/bad/several.yaml:25:5: metadata.labels[app]: ",
		},
		"rejected": {`The ReplicaSet "bad" is invalid: spec.template.metadata.labels: `, "`selector` does not match template `labels`"},
	} {
		t.Run(file, func(t *testing.T) {
			got := ns.run(t, "apply", "-f", "testdata/bad/"+file+".yaml")
			if got.code != 1 {
				t.Errorf("exit code is %d, want 1", got.code)
			}
			for _, part := range want {
				if !strings.Contains(got.stderr, part) {
					t.Errorf("stderr has no %q:\n%s", part, got.stderr)
				}
			}
			if got.stdout != "" {
				t.Errorf("stdout has %q", got.stdout)
			}
		})
	}
	t.Run("several files are all checked before the first is sent", func(t *testing.T) {
		got := ns.run(t, "apply", "-f", "testdata/simple-pod.yaml", "-f", "testdata/bad/unknown-field.yaml", "-f", "testdata/bad/wrong-type.yaml")
		if got.code != 1 || !strings.Contains(got.stderr, "unknown-field.yaml:8:5") || !strings.Contains(got.stderr, "wrong-type.yaml:6:13") {
			t.Errorf("exit code %d, %s; want 1 and both mistakes", got.code, got.stderr)
		}
	})
	if left := ns.must(t, "get", "pod,service,replicaset", "-o", "name") + ns.must(t, "get", "configmap", "fine", "--ignore-not-found", "-o", "name"); left != "" {
		t.Errorf("something was applied: %s", left)
	}
}
