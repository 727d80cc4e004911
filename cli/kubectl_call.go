package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kube-lite/kube-lite/manifest"
)

// call is what a kubectl command line says, read without running it.
type call struct {
	command *cobra.Command
	path    []string            // of the command: ["rollout", "status"]
	flags   map[string][]string // all values of each flag that is given
	words   []string            // after the command, flags apart
	bad     bool                // kubectl will refuse it
	unknown string              // the flag for which it will, if that is why
}

// read finds the command and its flags. The flags themselves stay unset, since
// kubectl will set them again.
func read(root *cobra.Command, args []string) call {
	command, rest, err := root.Find(args)
	c := call{command: command, flags: make(map[string][]string), bad: err != nil}
	for p := command; p.HasParent(); p = p.Parent() {
		c.path = append([]string{p.Name()}, c.path...)
	}
	command.InitDefaultHelpFlag()
	command.InheritedFlags() // adds those of the root to Flags
	err = command.Flags().ParseAll(rest, func(f *pflag.Flag, value string) error {
		c.flags[f.Name] = append(c.flags[f.Name], value)
		return nil
	})
	c.words = command.Flags().Args()
	c.bad = c.bad || err != nil
	if flag := (*pflag.NotExistError)(nil); errors.As(err, &flag) {
		c.unknown = flag.GetSpecifiedName()
	}
	return c
}

func (c call) given(flag string) bool { return len(c.flags[flag]) > 0 }

// value is what counts when a flag is given more than once; "" without it.
func (c call) value(flag string) string {
	if values := c.flags[flag]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

func (c call) isTrue(flag string) bool { return c.value(flag) == "true" }

// is tells whether this is the command with that path: "rollout status".
func (c call) is(path string) bool { return strings.Join(c.path, " ") == path }

// otherCluster tells whether the user named a cluster himself.
func (c call) otherCluster() bool {
	return c.given("kubeconfig") || c.given("context") || c.given("server")
}

// sendsFiles tells whether the command sends the objects that -f or -k name.
func (c call) sendsFiles() bool {
	return (c.is("apply") || c.is("create") || c.is("replace")) && (c.given("filename") || c.given("kustomize"))
}

// starts tells whether the command starts the daemon when it is not running.
func (c call) starts() bool {
	return c.path[0] == "run" || c.path[0] == "create" || c.is("apply")
}

// needsServer tells whether the command cannot do without an API server. What
// kubectl does alone must work here without a daemon too: its help, its
// complaints about flags, and what it only prints.
func (c call) needsServer() bool {
	switch {
	case c.bad, c.given("help"), len(c.path) == 0:
		return false
	case c.isTrue("local"):
		return false
	case c.path[0] == "create" && len(c.path) > 1 && c.value("dry-run") == "client":
		// These look up what they are given.
		return c.is("create role") || c.is("create clusterrole") || c.is("create job") && c.given("from")
	case c.command.HasSubCommands() && !c.is("cluster-info"): // it shows its help
		return c.sendsFiles()
	}
	return !alone(c.path[0])
}

// meant guesses the subcommand that a mistyped one was to be: `rollout stauts`. "" means that there is
// nothing to guess.
func (c call) meant() string {
	if !c.command.HasSubCommands() || !c.command.HasParent() || len(c.words) == 0 {
		return ""
	}
	var names []string
	for _, sub := range c.command.Commands() {
		names = append(names, sub.Name())
	}
	return manifest.Nearest(c.words[0], names)
}

// alone tells whether a verb never asks a server.
func alone(verb string) bool {
	switch verb {
	case "alpha", "config", "kuberc", "kustomize", "options", "plugin":
		return true
	}
	return false
}
