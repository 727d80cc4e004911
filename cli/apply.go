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
	"k8s.io/cli-runtime/pkg/resource"

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

// check reports all that is wrong with the manifests on stderr, by what the
// instance serves unless it is nil. The error says how much and that nothing was
// sent.
func (k *kubectl) check(files []manifest.File, by *served) error {
	problems, warnings := 0, make(map[manifest.Problem]bool)
	for _, p := range manifest.CheckFiles(files, k.rules(by)) {
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
func (k *kubectl) rules(by *served) manifest.Rules {
	rules := manifest.Rules{GenerateName: k.call.is("create"), Duplicates: validation(k.call.value("validate"))}
	if !k.call.otherCluster() && rules.Duplicates == manifest.Strict {
		rules.Scheme = manifest.Scheme()
	}
	if by != nil {
		rules.Known, rules.Definition = by.knows, by.definition
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
