// Package messages keeps kubectl's translated messages out of commands that print none of them. They are read from an archive in the
// program when the first package of kubectl is initialised, in every process, which takes a sixth of what a process takes until main;
// a start has two.
//
// Use: import it. The package of the messages is all that it waits for, so it is initialised before those that have some.
package messages

import (
	"os"
	"strings"

	"k8s.io/kubectl/pkg/util/i18n"
)

func init() {
	if c := command(os.Args); c != "start" && c != "serve" {
		return
	}
	if err := i18n.SetLoadTranslationsFunc(func() error { return nil }); err != nil {
		panic(err) // another package had some before
	}
}

// command is the first argument that is no flag and no flag's value.
func command(args []string) string {
	value := false
	for _, arg := range args[1:] {
		flag := !value && strings.HasPrefix(arg, "-")
		if !value && !flag {
			return arg
		}
		value = flag && !strings.Contains(arg, "=")
	}
	return ""
}
