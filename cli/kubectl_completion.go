package cli

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/urfave/cli/v2"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/daemon"
)

// Completion is cobra's: the script that it writes for a shell calls this program
// back with the words on the command line so far, and kubectl's commands, which
// know the names of flags and objects, answer.

// bashWithoutPackage goes before cobra's script for bash.
//
//go:embed completion.bash
var bashWithoutPackage string

func completionCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script of a shell: bash, zsh, fish or powershell",
		ArgsUsage: "bash|zsh|fish|powershell",
		Description: "bash:  source <(kube-lite completion bash)\n" +
			"zsh:   source <(kube-lite completion zsh)\n" +
			"fish:  kube-lite completion fish | source",
		Category: instanceCategory,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return fmt.Errorf("completion: name one shell: bash, zsh, fish or powershell")
			}
			root := e.newKubectl([]string{programName}, nil)
			switch shell := c.Args().First(); shell {
			case "bash":
				if _, err := io.WriteString(e.stdout, bashWithoutPackage); err != nil {
					return err
				}
				return root.GenBashCompletionV2(e.stdout, true)
			case "zsh":
				return root.GenZshCompletion(e.stdout)
			case "fish":
				return root.GenFishCompletion(e.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(e.stdout)
			default:
				return fmt.Errorf("completion: unknown shell %q: name bash, zsh, fish or powershell", shell)
			}
		},
	}
}

// completeCommands answer the scripts.
func completeCommands(e *env) []*cli.Command {
	var all []*cli.Command
	for _, name := range []string{cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd} {
		all = append(all, &cli.Command{
			Name:            name,
			Hidden:          true,
			SkipFlagParsing: true,
			HideHelp:        true,
			Action:          func(c *cli.Context) error { return e.complete(c, name, c.Args().Slice()) },
		})
	}
	return all
}

// complete prints what the last word may become. Global flags of ours that stand
// before the verb choose the instance whose objects are offered.
func (e *env) complete(c *cli.Context, request string, words []string) error {
	words, globals := cutGlobals(words)
	for name, value := range globals {
		if err := c.Lineage()[1].Set(name, value); err != nil {
			return err
		}
	}
	cfg, err := configOf(c)
	if err != nil {
		return err
	}
	root := e.completer(cfg, c.App, append([]string{request}, words...))
	return root.Execute()
}

// completer returns the commands that know how to complete the words.
func (e *env) completer(cfg daemon.Config, app *cli.App, words []string) *cobra.Command {
	if len(words) > 2 && !isVerb(words[1]) && app.Command(words[1]) != nil {
		root := &cobra.Command{Use: programName, CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, SilenceErrors: true, SilenceUsage: true}
		root.SetArgs(words)
		root.SetOut(e.stdout)
		root.SetErr(e.stderr)
		addOwn(root, app)
		return root
	}
	theirs, set := os.LookupEnv(clientcmd.RecommendedConfigPathEnvVar)
	_ = os.Setenv(clientcmd.RecommendedConfigPathEnvVar, cfg.KubeconfigPath()) // fails for impossible names only
	server := ""
	if _, running, _ := daemon.Lookup(cfg); !running {
		server = nowhere // kubectl would ask localhost:8080
	}
	root := e.newKubectl(append([]string{programName}, words...), func(f *genericclioptions.ConfigFlags) { *f.APIServer = server })
	if read(root, words[1:]).otherCluster() {
		restore(clientcmd.RecommendedConfigPathEnvVar, theirs, set)
		_ = root.PersistentFlags().Set("server", "")
	}
	addOwn(root, app)
	for _, c := range root.Commands() {
		if slices.Contains(ownVerbs, c.Name()) {
			c.Hidden = false
		}
	}
	return root
}

// nowhere refuses every connection at once. With https kubectl would ask for a
// user's name first.
const nowhere = "http://127.0.0.1:1"

// cutGlobals takes our global flags from the words before the verb. The last word
// is the one to be completed and stays.
func cutGlobals(words []string) (rest []string, globals map[string]string) {
	globals = make(map[string]string)
	for len(words) > 1 && strings.HasPrefix(words[0], "-") {
		name, value, hasValue := strings.Cut(strings.TrimLeft(words[0], "-"), "=")
		if name != nameFlag && name != dataDirFlag {
			break
		}
		if !hasValue {
			if len(words) < 3 { // the value is what is to be completed
				break
			}
			value, words = words[1], words[1:]
		}
		globals[name], words = value, words[1:]
	}
	return words, globals
}

// addOwn adds our own commands and flags, for their names to be offered, and those of instances.
func addOwn(root *cobra.Command, app *cli.App) {
	addFlags(root, app.Flags)
	_ = root.RegisterFlagCompletionFunc(nameFlag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return daemon.Names(daemon.DefaultRoot), cobra.ShellCompDirectiveNoFileComp
	}) // fails where it is registered already
	for _, c := range app.Commands {
		if c.Hidden || isVerb(c.Name) || c.Name == "help" {
			continue
		}
		own := &cobra.Command{Use: c.Name, Short: c.Usage, Run: func(*cobra.Command, []string) {}}
		if c.Name == "completion" {
			own.ValidArgs = []cobra.Completion{"bash", "zsh", "fish", "powershell"}
		}
		for _, sub := range c.Subcommands {
			own.ValidArgs = append(own.ValidArgs, cobra.CompletionWithDesc(sub.Name, sub.Usage))
		}
		addFlags(own, c.Flags)
		root.AddCommand(own)
	}
}

func addFlags(to *cobra.Command, flags []cli.Flag) {
	for _, f := range flags {
		name, usage := f.Names()[0], ""
		if to.Flags().Lookup(name) != nil || name == "help" { // cobra adds it
			continue
		}
		if d, ok := f.(cli.DocGenerationFlag); ok {
			usage = strings.ReplaceAll(d.GetUsage(), "`", "")
		}
		if _, isBool := f.(*cli.BoolFlag); isBool {
			to.Flags().Bool(name, false, usage)
		} else {
			to.Flags().String(name, "", usage)
		}
	}
}
