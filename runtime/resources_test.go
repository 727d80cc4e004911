package runtime

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts is a list of resources from name, amount, name, amount …
func amounts(text ...string) v1.ResourceList {
	out := v1.ResourceList{}
	for n := 0; n < len(text); n += 2 {
		out[v1.ResourceName(text[n])] = resource.MustParse(text[n+1])
	}
	return out
}

func TestOOMKilledIsToldHoweverLateDockerLearnsOfIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("hungry", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.outOfMemory("k8s_app_hungry_ns_uid-hungry_0")
		r.settle()
		r.wantState("hungry", "app", "OOMKilled 0")
		r.pod("killed", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.exit("k8s_app_killed_ns_uid-killed_0", 137)
		r.settle()
		r.wantState("killed", "app", "Error 0")
	})
}

// groupFile makes a file of a pretended kernel.
func groupFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
