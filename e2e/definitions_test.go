package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A definition, a namespace and their objects are applied and deleted in one go, in whatever order the files have them.
const definitionAndObjects = `apiVersion: sea.example.com/v1
kind: Ship
metadata: {name: gull, namespace: harbour}
spec: {masts: 2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: log, namespace: harbour}
---
apiVersion: v1
kind: Namespace
metadata: {name: harbour}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.sea.example.com}
spec:
  group: sea.example.com
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {masts: {type: integer, maximum: 3}}}}}
`

func TestADefinitionIsAppliedWithItsObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, bad := filepath.Join(dir, "all.yaml"), filepath.Join(dir, "bad.yaml")
	for path, text := range map[string]string{
		file:                                     definitionAndObjects,
		filepath.Join(dir, "kustomization.yaml"): "resources: [all.yaml]",
		bad:                                      "apiVersion: sea.example.com/v1\nkind: Ship\nmetadata: {name: bad, namespace: harbour}\nspec: {mast: 1, masts: 4}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range []string{"created", "unchanged"} {
		got := cluster.run(t, "", "apply", "-f", file)
		if got.code != 0 || strings.Count(got.stdout, want) != 4 {
			t.Errorf("apply, time %d, exits with %d: %s%s", n+1, got.code, got.stdout, got.stderr)
		}
	}
	got := cluster.run(t, "", "apply", "-f", bad)
	for _, want := range []string{`bad.yaml:4:8: spec.mast: unknown field (did you mean "masts"?)`, "bad.yaml:4:24: spec.masts: invalid value: 4"} {
		if got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("a bad ship: exit code %d, and no %q in %s", got.code, want, got.stderr)
		}
	}
	if got := cluster.run(t, definitionAndObjects, "delete", "-f", "-"); got.code != 0 {
		t.Errorf("delete in the order of the file: %d, %s%s", got.code, got.stdout, got.stderr)
	}
	if got := cluster.run(t, definitionAndObjects, "apply", "-f", "-"); got.code != 0 {
		t.Fatalf("apply from standard input: %d, %s%s", got.code, got.stdout, got.stderr)
	}
	if got := cluster.run(t, "", "delete", "-k", dir); got.code != 0 {
		t.Errorf("delete -k: %d, %s%s", got.code, got.stdout, got.stderr)
	}
	if got := cluster.run(t, "", "apply", "-k", dir); got.code != 0 || strings.Count(got.stdout, "created") != 4 {
		t.Fatalf("apply -k: %d, %s%s", got.code, got.stdout, got.stderr)
	}
	// The other way round, the definition and the namespace take their objects with them.
	parts := strings.Split(definitionAndObjects, "---\n")
	reversed := strings.Join([]string{parts[3], parts[2], parts[1], parts[0]}, "---\n")
	if got := cluster.run(t, reversed, "delete", "-f", "-"); got.code != 0 {
		t.Errorf("delete, the definition first: %d, %s%s", got.code, got.stdout, got.stderr)
	}
}
