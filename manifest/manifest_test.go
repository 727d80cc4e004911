package manifest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var update = flag.Bool("update", false, "write what the tests in testdata get as what they want")

// served plays the server of the tests: it has one kind of its own, and the alpha and beta versions of none.
func served(gvk schema.GroupVersionKind) bool {
	return gvk == schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
}

// rulesFor reads the words of an archive's last comment line: "rules: generateName, no scheme, no server".
func rulesFor(comment string) Rules {
	rules := Rules{Scheme: Scheme(), Known: served}
	_, words, _ := strings.Cut(comment, "rules:")
	for _, w := range strings.Split(words, ",") {
		switch strings.TrimSpace(w) {
		case "generateName":
			rules.GenerateName = true
		case "no scheme":
			rules.Scheme = nil
		case "no server":
			rules.Known = nil
		case "warn of duplicates":
			rules.Duplicates = Warn
		case "ignore duplicates":
			rules.Duplicates = Ignore
		}
	}
	return rules
}

// problemsOf renders all problems of an archive's files, one a line.
func problemsOf(files []txtar.File, rules Rules) string {
	var texts []File
	for _, f := range files {
		if f.Name != "want" {
			texts = append(texts, File{f.Name, f.Data})
		}
	}
	var b strings.Builder
	for _, p := range CheckFiles(texts, rules) {
		if p.Warning {
			b.WriteString("Warning: ")
		}
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// Each archive in testdata holds manifests and, in the file "want", every line that they must give.
func TestManifests(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives in testdata: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := problemsOf(archive.Files, rulesFor(string(archive.Comment)))
			last := &archive.Files[len(archive.Files)-1]
			if last.Name != "want" {
				t.Fatalf("the last file of %s is %q, not want", path, last.Name)
			}
			if *update {
				last.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(last.Data); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
