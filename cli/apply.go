package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/manifest"
)

// apply, create and replace look at every document of every file before kubectl
// sends the first one. What is not read here (URLs, kustomizations, files without
// permission) is left to kubectl.

// stdinName is what kubectl calls its standard input in messages.
const stdinName = "STDIN"

// files reads the files that -f names, as kubectl will. Standard input is read
// to its end and put back for kubectl.
func (k *kubectl) files() ([]manifest.File, error) {
	if !k.call.sendsFiles() || k.call.bad || k.call.given("help") {
		return nil, nil
	}
	var all []manifest.File
	for _, name := range splitNames(k.call.flags["filename"]) {
		switch {
		case name == "-":
			data, err := k.readStdin()
			if err != nil {
				return nil, err
			}
			all = append(all, manifest.File{Name: stdinName, Data: data})
		case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		default:
			paths, err := matches(name)
			if err != nil {
				return nil, err
			}
			for _, path := range paths {
				all = append(all, filesBelow(path, k.call.isTrue("recursive"))...)
			}
		}
	}
	return all, nil
}

// splitNames takes -f a,b apart as its flag does.
func splitNames(values []string) []string {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	names := flags.StringSlice("filename", nil, "")
	for _, v := range values {
		_ = flags.Set("filename", v) // kubectl refuses what is no list
	}
	return *names
}

// matches are the files of a pattern. A file of that very name comes first.
func matches(pattern string) ([]string, error) {
	if _, err := os.Stat(pattern); !errors.Is(err, fs.ErrNotExist) {
		return []string{pattern}, nil
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern %q is not valid: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("the path %q does not exist", pattern)
	}
	return paths, nil
}

// filesBelow returns the file, or the manifests of the directory.
func filesBelow(root string, recursive bool) (all []manifest.File) {
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case entry.IsDir() && path != root && !recursive:
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case path != root && !slices.Contains(resource.FileExtensions, filepath.Ext(path)):
			return nil
		}
		if data, err := os.ReadFile(path); err == nil {
			all = append(all, manifest.File{Name: path, Data: data})
		}
		return nil
	})
	return all
}

// readStdin reads all input and leaves os.Stdin, which kubectl reads, as it was.
func (k *kubectl) readStdin() ([]byte, error) {
	data, err := io.ReadAll(k.env.stdin)
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	os.Stdin = r
	go func() { // ends when kubectl has read it all, at the latest with the process
		_, _ = w.Write(data)
		_ = w.Close()
	}()
	return data, nil
}

// check reports all that is wrong with the manifests on stderr. The error says
// how much and that nothing was sent.
func (k *kubectl) check(files []manifest.File, known func(schema.GroupVersionKind) bool) error {
	problems, warnings := 0, make(map[manifest.Problem]bool)
	for _, p := range manifest.CheckFiles(files, k.rules(known)) {
		switch {
		case !p.Warning:
			problems++
			fmt.Fprintln(k.env.stderr, p)
		case !k.warned[p]:
			fmt.Fprintln(k.env.stderr, "Warning:", p)
		}
		warnings[p] = p.Warning
	}
	k.warned = warnings
	if problems == 0 {
		return nil
	}
	return cli.Exit(fmt.Sprintf("%s: nothing was %s", count(problems, "problem"), k.done()), exitFailed)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// done is the verb's participle.
func (k *kubectl) done() string {
	switch k.call.path[0] {
	case "apply":
		return "applied"
	case "create":
		return "created"
	}
	return "replaced"
}

// rules says what the manifests are held against. Another cluster may be of
// another version, so its objects are not held against our types, and neither
// are those of a user who asks for less with --validate.
func (k *kubectl) rules(known func(schema.GroupVersionKind) bool) manifest.Rules {
	rules := manifest.Rules{Known: known, GenerateName: k.call.is("create"), Duplicates: validation(k.call.value("validate"))}
	if !k.call.otherCluster() && rules.Duplicates == manifest.Strict {
		rules.Scheme = scheme.Scheme
	}
	return rules
}

// validation reads --validate as kubectl does, which refuses what it does not know.
func validation(flag string) manifest.Severity {
	switch flag {
	case "warn":
		return manifest.Warn
	case "ignore":
		return manifest.Ignore
	}
	if strict, err := strconv.ParseBool(flag); err == nil && !strict {
		return manifest.Ignore
	}
	return manifest.Strict
}

// served asks the running instance whether it serves a kind. Each group and
// version is asked for once. What cannot be found out counts as served: kubectl
// asks again and says why.
func (k *kubectl) served() func(schema.GroupVersionKind) bool {
	kinds := make(map[schema.GroupVersion]map[string]bool)
	return func(gvk schema.GroupVersionKind) bool {
		gv := gvk.GroupVersion()
		if _, ok := kinds[gv]; !ok {
			kinds[gv] = kindsOf(k.cfg.KubeconfigPath(), gv)
		}
		return kinds[gv] == nil || kinds[gv][gvk.Kind]
	}
}

// kindsOf returns the kinds of a group and version; nil if the server does not
// say.
func kindsOf(kubeconfig string, gv schema.GroupVersion) map[string]bool {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil
	}
	kinds := make(map[string]bool)
	list, err := client.ServerResourcesForGroupVersion(gv.String())
	switch {
	case apierrors.IsNotFound(err):
		return kinds
	case err != nil:
		return nil
	}
	for _, r := range list.APIResources {
		kinds[r.Kind], kinds[r.Kind+"List"] = true, true
	}
	return kinds
}
