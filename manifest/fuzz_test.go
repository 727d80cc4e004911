package manifest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/client-go/kubernetes/scheme"
)

// FuzzCheck proves that no file, however malformed, makes Parse or Check panic, that every problem points into the
// file, and that what was accepted has an apiVersion and a kind.
func FuzzCheck(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Add([]byte("a: &a [*a, {<<: *a}]\n--- x\n\xff\xfe"))
	rules := Rules{Scheme: Scheme()}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, problems := Parse("f", data)
		problems = append(problems, Check(docs, rules)...)
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + bytes.Count(data, []byte("\x85")) +
			bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029")) + bytes.Count(data, []byte{0}) + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines+1 || p.Column < 1 || p.Message == "" {
				t.Errorf("%v is not in a file of %d lines", p, lines)
			}
		}
		if len(problems) > 0 {
			return
		}
		for _, d := range docs {
			if d.APIVersion == "" || d.Kind == "" {
				t.Errorf("a document without apiVersion %q or kind %q passed", d.APIVersion, d.Kind)
			}
		}
	})
}

// An alias bomb is refused at once, whether it is met while parsing or while checking.
func TestAliasBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: List\nmetadata: {}\nx0: &x0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := 1; i <= 60; i++ {
		alias := fmt.Sprintf("*x%d, ", i-1)
		fmt.Fprintf(&b, "x%d: &x%d [%s a]\n", i, i, strings.Repeat(alias, 9))
	}
	b.WriteString("items: *x60\n")
	docs, problems := Parse("bomb.yaml", []byte(b.String()))
	if len(docs) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Message, "aliases") {
		t.Errorf("got %d documents and problems %v", len(docs), problems)
	}
}

// The values of the largest manifests that people write are no bomb.
func TestLargeFilesPass(t *testing.T) {
	data, err := os.ReadFile("testdata/good.txtar")
	if err != nil {
		t.Fatal(err)
	}
	good := txtar.Parse(data).Files[0].Data
	docs, problems := Parse("large.yaml", bytes.Repeat(append([]byte("---\n"), good...), 200))
	problems = append(problems, Check(docs, Rules{Scheme: scheme.Scheme})...)
	if len(docs) != 1200 || len(problems) != 0 {
		t.Errorf("got %d documents, %d problems, the first %v", len(docs), len(problems), problems[:min(1, len(problems))])
	}
}

// The fault in a large file is found without parsing it over and over.
func TestAFaultAtTheEndOfALargeFile(t *testing.T) {
	text := strings.Repeat("a: {b: [c, d, e]} # a line of forty or so characters\n", 10_000)
	_, problems := Parse("large.yaml", []byte(text+"x: y\n z: w\n"))
	if len(problems) != 1 || problems[0].Line != 10_002 {
		t.Errorf("got %v, want a problem in line 10002", problems)
	}
}
