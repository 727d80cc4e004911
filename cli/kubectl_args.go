package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// verbFirst brings a command line into the order that the app reads: our global
// flags, the verb, the rest. Users of kubectl also write
//
//	kube-lite -n kube-system get pods
//	kube-lite help rollout undo
//
// which become `get -n kube-system pods` and `rollout undo --help`. A command line
// with a flag before the verb that is neither's stays as it is, for the app to
// complain.
func verbFirst(e *env, args []string) []string {
	at, ours, theirs := 1, args[:1:1], []string(nil)
	if len(args) > 1 && strings.HasPrefix(args[1], "-") {
		flags := e.newKubectl([]string{programName}, nil).PersistentFlags()
		for at < len(args) && strings.HasPrefix(args[at], "-") {
			n, own, ok := flagAt(flags, args[at:])
			if !ok || at+n > len(args) {
				return args
			}
			if own {
				ours = append(ours, args[at:at+n]...)
			} else {
				theirs = append(theirs, args[at:at+n]...)
			}
			at += n
		}
	}
	if at >= len(args) {
		return args
	}
	words := args[at:]
	if (words[0] == "help" || words[0] == "h") && len(words) > 1 && isVerb(words[1]) {
		words = append(slices.Clone(words[1:]), "--help")
	}
	return slices.Concat(ours, words[:1], theirs, words[1:])
}

// flagAt tells how many words the flag at the beginning of args takes, whether it
// is one of our global flags, and whether it is known at all.
func flagAt(flags *pflag.FlagSet, args []string) (n int, own, ok bool) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	if name == nameFlag || name == dataDirFlag {
		return wordsOf(hasValue), true, true
	}
	var f *pflag.Flag
	if strings.HasPrefix(args[0], "--") {
		f = flags.Lookup(name)
	} else if name != "" {
		f = flags.ShorthandLookup(name[:1])
		hasValue = hasValue || len(name) > 1 // -nNAME
	}
	if f == nil {
		return 0, false, false
	}
	return wordsOf(hasValue || f.NoOptDefVal != ""), false, true
}

// wordsOf returns how many words a flag takes.
func wordsOf(hasValue bool) int {
	if hasValue {
		return 1
	}
	return 2
}
