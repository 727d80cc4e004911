package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kube-lite/kube-lite"

// mayImport says which of our packages each room may import, and so which way
// the arrows point: down. A package that is not listed fails the test.
var mayImport = map[string][]string{
	"":             {"cli"},
	"cli":          {"cli/messages", "daemon", "manifest", "apiserver", "runtime/docker", "runtime/prune", "router", "verdict", "why", "intercept", "dashboard"},
	"cli/messages": {},
	"daemon":       {"apiserver", "store", "orchestrator", "runtime", "runtime/docker", "runtime/prune", "runtime/spec", "netproxy", "dns", "hostdns", "router", "intercept", "reach", "dashboard"},
	"apiserver":    {"store"},
	"orchestrator": {"orchestrator/queuemetrics"},

	"orchestrator/queuemetrics": {},

	"runtime":           {"runtime/docker", "runtime/files", "runtime/images", "runtime/limits", "runtime/mirror", "runtime/node", "runtime/pause", "runtime/plan", "runtime/pods", "runtime/probe", "runtime/spec", "runtime/stats", "runtime/status", "runtime/streaming", "runtime/usage", "runtime/volume"},
	"runtime/docker":    {},
	"runtime/pause":     {},
	"runtime/files":     {"runtime/docker", "runtime/pods", "runtime/volume"},
	"runtime/images":    {"runtime/docker", "runtime/pods"},
	"runtime/limits":    {"runtime/docker", "runtime/pods", "runtime/usage"},
	"runtime/mirror":    {"runtime/docker", "runtime/pods", "runtime/usage"},
	"runtime/node":      {"runtime/docker", "runtime/limits", "runtime/pods", "runtime/usage"},
	"runtime/plan":      {"runtime/docker", "runtime/pods"},
	"runtime/pods":      {"runtime/docker"},
	"runtime/probe":     {},
	"runtime/prune":     {"runtime/docker", "runtime/images", "runtime/limits", "runtime/mirror", "runtime/node", "runtime/pause", "runtime/pods", "runtime/usage", "runtime/volume"},
	"runtime/spec":      {"runtime/docker", "runtime/limits", "runtime/pause", "runtime/pods"},
	"runtime/stats":     {"runtime/docker", "runtime/pods", "runtime/usage"},
	"runtime/status":    {"runtime/docker", "runtime/limits", "runtime/pods"},
	"runtime/streaming": {"runtime/docker"},
	"runtime/usage":     {},
	"runtime/volume":    {},
	"netproxy":          {},
	"dns":               {},
	"hostdns":           {},
	"router":            {},
	"why":               {},
	"intercept":         {},
	"reach":             {},
	"verdict":           {"manifest", "portforward", "why"},
	"portforward":       {},
	"dashboard":         {"manifest", "portforward", "why"},
	"dashboard/build":   {"dashboard/build/sources"},

	"dashboard/build/sources": {},

	"manifest": {},
	"store":    {},
	"e2e":      {},
	"bench":    {"netproxy", "runtime/docker"},
}

// onlyIn lists what other people's packages one room alone may import, with the packages in it, and why.
var onlyIn = []struct{ prefix, room, why string }{
	{"github.com/docker/docker", "runtime/docker", "the rest of the house knows containers only through it"},
	{"go.etcd.io/bbolt", "store", "the file format is the store's own business"},
	{"k8s.io/kubernetes/pkg/registry", "apiserver", "rooms talk through the API, not to its registries"},
	{"github.com/miekg/dns", "dns", "nobody else speaks DNS"},
	{"github.com/coreos/go-iptables", "netproxy", "rules are written in one place"},
	{"sigs.k8s.io/knftables", "netproxy", "rules are written in one place"},
	{"github.com/urfave/cli", "cli", "the daemon has no command line"},
	{"k8s.io/kubectl", "cli", "the daemon has no command line"},
}

type goPackage struct {
	ImportPath, Dir string
	Name            string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(p.ImportPath, "/testdata/") {
			all = append(all, p)
		}
	}
}

func room(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		allowed, known := mayImport[room(p.ImportPath)]
		if !known {
			t.Errorf("package %q has no place in the house: add it to mayImport with what it may import", room(p.ImportPath))
			continue
		}
		for _, path := range p.Imports {
			if strings.HasPrefix(path, module) && !slices.Contains(allowed, room(path)) {
				t.Errorf("%q must not import %q", room(p.ImportPath), room(path))
			}
			for _, ban := range onlyIn {
				if strings.HasPrefix(path, ban.prefix) && !strings.HasPrefix(room(p.ImportPath)+"/", ban.room+"/") {
					t.Errorf("%q imports %s: only %q may, since %s", room(p.ImportPath), path, ban.room, ban.why)
				}
			}
			if strings.HasPrefix(path, "k8s.io/kubernetes/cmd/") {
				t.Errorf("%q imports %s: another project's commands are not a library", room(p.ImportPath), path)
			}
		}
	}
}

func TestEveryPackageTeachesItself(t *testing.T) {
	for _, p := range packages(t) {
		var doc string
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			doc += file.Doc.Text()
		}
		least := 200
		if p.Name == "main" {
			least = 40
		}
		if len(p.GoFiles) > 0 && len(doc) < least {
			t.Errorf("package %q has a comment of %d characters: say what it owns, what it never does, how it is used", room(p.ImportPath), len(doc))
		}
	}
}
