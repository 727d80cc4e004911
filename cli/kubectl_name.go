package cli

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// kubectl's code knows its own name from the command that it is, which is ours, but in some of its
// messages the name is a constant. What can be typed here is to say so.

// typedHere finds a command of kubectl's in a text: the name, and a verb after it.
var typedHere = sync.OnceValue(func() *regexp.Regexp {
	var verbs []string
	for _, group := range verbGroups() {
		for _, v := range group.verbs {
			if v.name != "plugin" { // "a kubectl plugin" is one of kubectl's
				verbs = append(verbs, v.name)
			}
		}
	}
	return regexp.MustCompile("(^|[\\s'\"`(|])kubectl (" + strings.Join(verbs, "|") + "|-h|--help)\\b")
})

func rename(text string) string {
	if !strings.Contains(text, "kubectl ") {
		return text
	}
	return typedHere().ReplaceAllString(text, "${1}"+programName+" $2")
}

// renamer renames in each message. kubectl writes one at a time.
type renamer struct{ to io.Writer }

func (r renamer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.to, rename(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// renameMessages leaves alone what is not kubectl's own: the output of containers, and objects.
func renameMessages(streams genericiooptions.IOStreams, args []string) genericiooptions.IOStreams {
	if len(args) == 0 {
		return streams
	}
	switch args[0] {
	case "attach", "cp", "debug", "exec", "run":
		return streams
	case "cluster-info":
		if !slices.Contains(args, "dump") {
			streams.Out = renamer{streams.Out}
		}
	}
	streams.ErrOut = renamer{streams.ErrOut}
	return streams
}

// renameErrors has kubectl report what ends it under our name, and exit as before.
func renameErrors() {
	cmdutil.BehaviorOnFatal(func(message string, code int) {
		if message != "" {
			message = strings.TrimSuffix(rename(message), "\n") + "\n"
			_, _ = os.Stderr.WriteString(message)
		}
		os.Exit(code)
	})
}

// renameHelp makes a command's help such that its examples can be typed here.
func renameHelp(c *cobra.Command) {
	c.Example = strings.ReplaceAll(c.Example, "kubectl ", programName+" ")
	c.Long = rename(c.Long)
	c.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = rename(f.Usage) })
}
