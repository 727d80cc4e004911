package e2e

import (
	"strings"
	"testing"
)

const reviews = `
apiVersion: authorization.k8s.io/v1
kind: SelfSubjectAccessReview
spec: {resourceAttributes: {verb: get, resource: pods}}
---
apiVersion: authorization.k8s.io/v1
kind: SubjectAccessReview
spec: {user: me, resourceAttributes: {verb: get, resource: pods}}
---
apiVersion: authorization.k8s.io/v1
kind: SelfSubjectRulesReview
spec: {namespace: default}
---
apiVersion: authorization.k8s.io/v1
kind: LocalSubjectAccessReview
metadata: {namespace: default}
spec: {user: me, resourceAttributes: {verb: get, resource: pods, namespace: default}}
---
apiVersion: authentication.k8s.io/v1
kind: SelfSubjectReview
---
apiVersion: authentication.k8s.io/v1
kind: TokenReview
spec: {token: nonsense}
`

// Reviews are questions to the server: they have no name, and can be created and nothing else.
func TestReviewsAreCreatedWhateverIsValidated(t *testing.T) {
	for _, validate := range []string{"strict", "warn", "ignore"} {
		got := cluster.run(t, reviews, "create", "--validate="+validate, "-o", `jsonpath={.kind}{" "}`, "-f", "-")
		const want = "SelfSubjectAccessReview SubjectAccessReview SelfSubjectRulesReview LocalSubjectAccessReview SelfSubjectReview TokenReview "
		if got.code != 0 || got.stdout != want {
			t.Errorf("--validate=%s: exit code %d, %q: %s", validate, got.code, got.stdout, got.stderr)
		}
	}
	wrong := strings.Replace(reviews, "verb: get", "vreb: get", 1)
	if got := cluster.run(t, wrong, "create", "-f", "-"); got.code != 1 || !strings.Contains(got.stderr, `did you mean "verb"?`) {
		t.Errorf("a field that is misspelt: exit code %d: %s", got.code, got.stderr)
	}
}

// Of a key that stands twice the last value counts, where --validate lets it pass.
func TestDuplicateKeysAreJudgedAsValidateSays(t *testing.T) {
	t.Parallel()
	const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\ndata: {a: first, a: last}\n"
	const warning = "duplicate key, first on line 4\n"
	for validate, want := range map[string]result{
		"strict": {code: 1, stderr: "STDIN:4:18: data[a]: " + warning + "kube-lite: 1 problem: nothing was applied\n"},
		"warn":   {stdout: "last", stderr: "Warning: STDIN:4:18: data.a: " + warning},
		"ignore": {stdout: "last"},
	} {
		name := "twice-" + validate
		newNamespace(t, name)
		got := cluster.run(t, manifest, "apply", "-n", name, "--validate="+validate, "-o", "jsonpath={.data.a}", "-f", "-")
		if got.code != want.code || got.stdout != want.stdout || got.stderr != want.stderr {
			t.Errorf("--validate=%s: %+v, want %+v", validate, got, want)
		}
	}
}
