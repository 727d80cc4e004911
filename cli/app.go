package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	_ "github.com/kube-lite/kube-lite/cli/messages" // before kubectl's packages
	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/manifest"
)

// Exit codes of our own commands; kubectl's verbs have kubectl's.
const (
	exitOK         = 0
	exitFailed     = 1
	exitNotRunning = 3 // status: the daemon does not run, as systemctl has it
)

// env is what a command sees of the world.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	definitions    definitions // among what the verb sends
	// instanceFlags lead to the instance of a kubectl verb, and go behind the program's name.
	instanceFlags string
	cfg           daemon.Config // that instance
	// exit is the code of a verb that did what it was asked.
	exit int
}

// Main runs the command line args, whose first is the program's name, and
// returns the exit code.
func Main(ctx context.Context, args []string) int {
	e := &env{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	err := newApp(e).RunContext(ctx, verbFirst(e, args))
	if err == nil {
		return exitOK
	}
	var exit cli.ExitCoder
	if errors.As(err, &exit) {
		if exit.Error() != "" {
			fmt.Fprintf(e.stderr, "kube-lite: %s\n", exit.Error())
		}
		return exit.ExitCode()
	}
	fmt.Fprintf(e.stderr, "kube-lite: %v\n", err)
	return exitFailed
}

// Flags that every command understands, before its name.
const (
	nameFlag    = "name"
	dataDirFlag = "data-dir"
	versionFlag = "version"
)

func newApp(e *env) *cli.App {
	app := cli.NewApp()
	app.Name = "kube-lite"
	app.Usage = "the Kubernetes API over the Docker engine that you already have"
	app.Description = "kube-lite runs Kubernetes manifests as Docker containers on this machine.\n" +
		"Every kubectl verb is a command here; \"kube-lite VERB --help\" shows its flags."
	app.Version = version()
	app.HideVersion = true // the library's own flag takes -v, which is kubectl's
	app.Reader, app.Writer, app.ErrWriter = e.stdin, e.stdout, e.stderr
	app.ExitErrHandler = func(*cli.Context, error) {} // Main says it, once
	app.Action = func(c *cli.Context) error {
		if c.Args().Present() {
			return unknownCommand(c.App, c.Args().First())
		}
		return cli.ShowAppHelp(c)
	}
	app.Flags = []cli.Flag{
		&cli.StringFlag{Name: nameFlag, EnvVars: []string{"KUBE_LITE_NAME"}, Value: daemon.DefaultName, Usage: "the `INSTANCE` to work with"},
		&cli.StringFlag{Name: dataDirFlag, EnvVars: []string{"KUBE_LITE_DATA_DIR"}, Usage: "where the instance keeps its `DIR`; default " + daemon.DefaultRoot + "/NAME"},
		&cli.BoolFlag{Name: versionFlag, Usage: "print what the command version prints", DisableDefaultText: true},
		cli.HelpFlag, // the library adds it with its own command
	}
	app.Before = func(c *cli.Context) error {
		if !c.Bool(versionFlag) {
			return nil
		}
		if err := e.printVersion(); err != nil {
			return err
		}
		return cli.Exit("", exitOK)
	}
	app.Commands = []*cli.Command{
		startCommand(e), serveCommand(e), stopCommand(e), statusCommand(e),
		resetCommand(e), pruneCommand(e), nodeCommand(e), kubeconfigCommand(e), trustCommand(e), dnsCommand(e),
		whyCommand(e), testCommand(e), interceptCommand(e), dashboardCommand(e), versionCommand(e),
	}
	app.Commands = append(app.Commands, helpCommand())
	app.OnUsageError = usageError
	for _, c := range app.Commands {
		c.Category = instanceCategory
		if c.OnUsageError == nil {
			c.OnUsageError = usageError
		}
	}
	app.Commands = append(app.Commands, kubectlCommands(e)...)
	return app
}

// helpCommand is the library's, but for what it says of a command that is not there. Of
// kubectl's verbs verbFirst has kubectl say it.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "show the commands, or one command's flags", ArgsUsage: "[COMMAND]",
		HideHelp: true,
		Action: func(c *cli.Context) error {
			switch name := c.Args().First(); {
			case name == "":
				return cli.ShowAppHelp(c.Lineage()[1])
			case c.App.Command(name) == nil:
				return unknownCommand(c.App, name)
			default:
				return cli.ShowCommandHelp(c.Lineage()[1], name)
			}
		},
	}
}

// onInstance is the action of a command that takes flags but no arguments, and
// works on the instance that the global flags name.
func onInstance(run func(*cli.Context, daemon.Config) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := noArguments(c); err != nil {
			return err
		}
		cfg, err := configOf(c)
		if err != nil {
			return err
		}
		return run(c, cfg)
	}
}

// clientOf connects to the instance's API as its admin. A request that takes
// longer than limit fails; 0 means none.
func clientOf(cfg daemon.Config, limit time.Duration) (kubernetes.Interface, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", cfg.KubeconfigPath())
	if err != nil {
		return nil, err
	}
	rest.Timeout, rest.QPS = limit, -1 // no limit of the client's own, see unlimited
	return kubernetes.NewForConfig(rest)
}

// configOf reads the global flags.
func configOf(c *cli.Context) (daemon.Config, error) {
	return daemon.Config{
		Name:    c.String(nameFlag),
		DataDir: c.String(dataDirFlag),
		Version: version(),
	}.WithDefaults()
}

// usageError says what is wrong with a flag in one line, in place of a page of
// help that hides it.
func usageError(c *cli.Context, err error, _ bool) error {
	name := "kube-lite"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name += " " + fullName(c.Command)
		for _, global := range []string{nameFlag, dataDirFlag} {
			if strings.HasSuffix(err.Error(), ": -"+global) {
				return misplaced(global, c.Command.Name)
			}
		}
	}
	return fmt.Errorf("%w (see \"%s --help\")", err, name)
}

// misplaced says where a global flag goes.
func misplaced(flag, command string) error {
	return fmt.Errorf("--%s goes before the command: kube-lite --%s=… %s", flag, flag, command)
}

// unknownCommand guesses what was meant.
func unknownCommand(app *cli.App, name string) error {
	var names []string
	for _, c := range app.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	guess := ""
	if meant := manifest.Nearest(name, names); meant != "" {
		guess = fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return fmt.Errorf("unknown command %q%s: \"kube-lite --help\" lists them", name, guess)
}

// noArguments refuses words that a command would otherwise ignore.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("%s: unexpected argument %q", fullName(c.Command), c.Args().First())
	}
	return nil
}

// fullName is what a user types for the command, behind the program's name.
func fullName(c *cli.Command) string {
	return cmp.Or(strings.TrimPrefix(c.HelpName, "kube-lite "), c.Name)
}
