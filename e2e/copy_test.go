package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kubectl cp runs tar in the container.
func TestCopyGoesBothWays(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "copy")
	ns.must(t, "run", "shelf", "--image=kube-lite-test/shell:latest", "--image-pull-policy=Never",
		`--overrides={"spec":{"terminationGracePeriodSeconds":0}}`, "--", "sleep", "1000000")
	ns.waitForPods(t, 1, "shelf")
	here := t.TempDir()
	big := make([]byte, 5<<20) // more than any buffer on the way
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	for path, content := range map[string][]byte{"one.txt": []byte("one\n"), "tree/big": big, "tree/below/empty": nil, "tree/with space": []byte("two\n")} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(here, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(here, path), content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	in := func(path string) string { return filepath.Join(here, path) }

	t.Run("a file", func(t *testing.T) {
		ns.must(t, "cp", in("one.txt"), "shelf:/tmp/renamed.txt")
		if got := ns.must(t, "exec", "shelf", "--", "cat", "/tmp/renamed.txt"); got != "one\n" {
			t.Errorf("the container has %q", got)
		}
		ns.must(t, "cp", ns.name+"/shelf:/tmp/renamed.txt", in("back.txt"), "-c", "shelf")
		same(t, in("back.txt"), []byte("one\n"))
	})
	t.Run("a directory", func(t *testing.T) {
		ns.must(t, "cp", in("tree"), "shelf:/tmp/tree")
		if got := ns.must(t, "exec", "shelf", "--", "ls", "-l", "/tmp/tree/with space"); !strings.HasPrefix(got, "-rw-r-----") {
			t.Errorf("the mode is lost: %q", got)
		}
		ns.must(t, "cp", "shelf:/tmp/tree", in("tree back"))
		same(t, in("tree back/big"), big)
		same(t, in("tree back/below/empty"), nil)
		same(t, in("tree back/with space"), []byte("two\n"))
	})
	t.Run("into a directory that is there", func(t *testing.T) {
		ns.must(t, "cp", in("one.txt"), "shelf:/tmp/")
		ns.must(t, "cp", "shelf:/tmp/one.txt", in("again.txt"), "--retries=2")
		same(t, in("again.txt"), []byte("one\n"))
	})
	t.Run("not from where there is no tar", func(t *testing.T) {
		ns.must(t, "run", "bare", "--image=kube-lite-test/tool:latest", "--image-pull-policy=Never", "--", "sleep")
		ns.waitForPods(t, 2, "shelf|bare")
		for _, paths := range [][]string{{in("one.txt"), "bare:/one.txt"}, {"bare:/tool", in("tool")}} {
			if got := ns.run(t, "cp", paths[0], paths[1]); got.code != 1 || !strings.Contains(got.stderr, `the container has no "tar"`) {
				t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
			}
		}
	})
	t.Run("not what is not there", func(t *testing.T) {
		for range 5 { // it was luck
			got := ns.run(t, "cp", "shelf:/nope", in("nope"))
			if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "/nope: Cannot stat") || !strings.Contains(got.stderr, "error: cannot copy") {
				t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
			}
		}
		if got := ns.run(t, "cp", "shelf:/nope", in("nope"), "--retries=2"); got.code != 1 || !strings.Contains(got.stderr, "error: cannot copy") {
			t.Errorf("with retries: exit code %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
}

func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, want %d", filepath.Base(path), len(got), len(want))
	}
}
