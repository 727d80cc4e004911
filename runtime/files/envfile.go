package files

import (
	"fmt"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
)

// maxEnvFile is how much of a file of variables is read, in bytes: a container wrote it.
const maxEnvFile = 1 << 20

// envFile implements sources: it reads one variable of a file in an emptyDir volume, which
// an init container wrote.
// https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-via-file/
func (f *Files) envFile(pod *v1.Pod, ref *v1.FileKeySelector) (value string, ok bool, err error) {
	v := pods.Volume(pod, ref.VolumeName)
	if v == nil || v.EmptyDir == nil {
		return "", false, fmt.Errorf("cannot find the volume %q referenced by FileKeyRef", ref.VolumeName)
	}
	content, err := volume.ReadFile(f.config.Dirs.Volume(pod.UID, *v), ref.Path, maxEnvFile)
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file: %w", err)
	}
	value, err = parseEnvFile(string(content), ref.Key)
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file %s: %w", ref.Path, err)
	}
	if value == "" && !optional(ref.Optional) {
		return "", false, fmt.Errorf("environment variable key %q not found in file %q", ref.Key, ref.Path)
	}
	return value, value != "", nil
}

// parseEnvFile finds a variable among lines NAME='value', where a value may hold newlines.
// It is no more than a part of what a shell reads, so that both read the same; a blank
// after = leaves the variable empty, as in a shell.
func parseEnvFile(text, key string) (string, error) {
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			text = rest
			continue
		}
		name, value, found := strings.Cut(line, "=")
		switch {
		case !found || name == "" || strings.ContainsAny(name, " \t"):
			return "", fmt.Errorf("line %q is not NAME='value'", line)
		case value == "" || value[0] == ' ' || value[0] == '\t':
			value = ""
		case value[0] != '\'':
			return "", fmt.Errorf("the value of %s is not in single quotes", name)
		default:
			_, quoted, _ := strings.Cut(text, "='")
			var after string
			if value, after, found = strings.Cut(quoted, "'"); !found {
				return "", fmt.Errorf("the quote of %s does not end", name)
			}
			after, rest, _ = strings.Cut(after, "\n")
			if after = strings.TrimLeft(after, " \t"); after != "" && after[0] != '#' {
				return "", fmt.Errorf("%q follows the value of %s", after, name)
			}
		}
		if name == key {
			return value, nil
		}
		text = rest
	}
	return "", nil
}
