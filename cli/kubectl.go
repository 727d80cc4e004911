package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/urfave/cli/v2"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	basecli "k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/manifest"
)

// kubectl is one run of a kubectl verb. A process runs one and ends: kubectl's
// code reads the process's arguments and environment, and on an error it exits
// with kubectl's code.
type kubectl struct {
	env  *env
	cfg  daemon.Config
	args []string // as kubectl would get them: the verb first
	root *cobra.Command
	call call
	// warned of already, when the manifests are checked once more with what the server knows.
	warned  map[manifest.Problem]bool
	effects effects // of the requests to the instance
	// start brings the daemon up and tells the user on stderr.
	start func(context.Context) error
}

// runKubectl runs a verb with kubectl's own flags, output and exit codes, on
// the instance unless a flag names another cluster. It returns only what went
// wrong before kubectl took over, or nil.
func (e *env) runKubectl(c *cli.Context, args []string) error {
	// What kubectl does on a signal is kubectl's: `get -w` and `logs -f` end at
	// once. It asks for none that is caught for a context.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	cfg, err := configOf(c)
	if err != nil {
		return err
	}
	e.instanceFlags, e.cfg = nameArgument(cfg), cfg
	k := &kubectl{env: e, cfg: cfg, args: args}
	k.start = func(ctx context.Context) error { return start(ctx, cfg, nil, e.stderr) }
	return k.run()
}

func (k *kubectl) run() error {
	os.Args = append(os.Args[:1:1], k.args...) // for --record, which writes them down
	theirs, set := os.LookupEnv(clientcmd.RecommendedConfigPathEnvVar)
	if err := os.Setenv(clientcmd.RecommendedConfigPathEnvVar, k.cfg.KubeconfigPath()); err != nil {
		return err
	}
	renameErrors()
	_, _ = logs.GlogSetter(kubectlcmd.GetLogVerbosity(os.Args)) // a bad -v is refused with the other flags
	k.root = k.env.newKubectl(os.Args, func(f *genericclioptions.ConfigFlags) { f.WrapConfigFn = k.ofInstance })
	k.call = read(k.root, k.args)
	switch {
	case k.call.otherCluster():
		restore(clientcmd.RecommendedConfigPathEnvVar, theirs, set)
	case k.call.is("config get-contexts"): // those that --context takes, too
		_ = os.Setenv(clientcmd.RecommendedConfigPathEnvVar, k.cfg.KubeconfigPath()+string(filepath.ListSeparator)+orHome(theirs))
	case k.call.is("config use-context") && len(k.call.words) == 1:
		if err := k.checkContext(k.call.words[0], orHome(theirs)); err != nil {
			return err
		}
	}
	if err := k.prepare(); err != nil {
		return err
	}
	cmdutil.CheckErr(basecli.RunNoErrOutput(k.root)) // exits on an error
	if k.env.exit != exitOK {
		return cli.Exit("", k.env.exit)
	}
	return nil
}

// orHome is the list of the user's own kubeconfigs.
func orHome(theirs string) string {
	if theirs == "" {
		return clientcmd.RecommendedHomeFile
	}
	return theirs
}

// checkContext refuses to make a context current that is in the user's own files alone:
// a verb without --context leads to the instance.
func (k *kubectl) checkContext(name, theirs string) error {
	has := func(files string) bool {
		rules := clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(files)}
		config, err := rules.Load()
		return err == nil && config.Contexts[name] != nil
	}
	if has(k.cfg.KubeconfigPath()) || !has(theirs) {
		return nil
	}
	return fmt.Errorf("the context %q is in your own kubeconfig, and %s without --context works on its instance: %[2]s --context=%[1]s VERB", name, programName)
}

func restore(name, value string, set bool) {
	if set {
		_ = os.Setenv(name, value)
	} else {
		_ = os.Unsetenv(name)
	}
}

// ofInstance lifts the client's own limit, 5 requests a second, where they go to the
// instance: its API is in reach of one user and answers thousands. All clients of
// the run share a transport. kubectl asks for this configuration after the command
// line was read.
func (k *kubectl) ofInstance(config *rest.Config) *rest.Config {
	if !k.call.otherCluster() {
		config.QPS = -1
		config.Wrap(k.effects.wrap)
	}
	return config
}

// newKubectl builds kubectl's commands under our name. Arguments begin with the
// program's name. adjust changes the flags that lead to a cluster; nil means none.
func (e *env) newKubectl(arguments []string, adjust func(*genericclioptions.ConfigFlags)) *cobra.Command {
	streams := genericiooptions.IOStreams{In: e.stdin, Out: e.stdout, ErrOut: e.stderr}
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().
		WithDiscoveryBurst(discoveryBurst).WithDiscoveryQPS(discoveryQPS).WithWarningPrinter(streams)
	if adjust != nil {
		adjust(flags)
	}
	root := kubectlcmd.NewKubectlCommand(kubectlcmd.KubectlOptions{
		Arguments: arguments, ConfigFlags: flags, IOStreams: renameMessages(streams, arguments[1:]),
	})
	root.Use = programName
	getter := cmdutil.NewMatchVersionFlags(flags)
	factory := cmdutil.NewFactory(getter)
	for _, c := range root.Commands() {
		switch c.Name() {
		case "version", "completion": // ours say more
			root.RemoveCommand(c)
		case "apply":
			runApply(c, cmdutil.NewFactory(defining{getter, &e.definitions}), renameMessages(streams, arguments[1:]))
		case "cp":
			c.Run = runCopy(factory, streams)
		case "port-forward":
			c.Run = runPortForward(factory, streams)
		}
	}
	root.AddCommand(e.newWhy(factory, streams), e.newIntercept(factory, streams), e.newDashboard(factory, streams))
	root.SetArgs(arguments[1:])
	logs.AddFlags(root.PersistentFlags())
	return root
}

// kubectl's own limits for the requests of API discovery.
const (
	discoveryBurst = 300
	discoveryQPS   = 50
)

// programName is what the user calls.
const programName = "kube-lite"

// prepare checks the manifests that the verb is about to send, and sees to it
// that there is a server if it needs one.
func (k *kubectl) prepare() error {
	if flag := k.call.unknown; flag == nameFlag || flag == dataDirFlag {
		return misplaced(flag, strings.Join(k.call.path, " "))
	}
	if meant := k.call.meant(); meant != "" {
		return fmt.Errorf("unknown command %q (did you mean %q?): \"%s --help\" lists them", k.call.words[0], meant, k.call.command.CommandPath())
	}
	if k.call.is(interceptName) && k.call.otherCluster() {
		return errors.New("intercept: it works on kube-lite's own instance alone, whose pods share this machine: leave --context, --kubeconfig and --server out")
	}
	renameHelp(k.call.command)
	files, err := k.files()
	cmdutil.CheckErr(err) // a path that does not exist, in kubectl's words
	k.env.definitions = definitions{manifest.Definitions(files), k.call.value("kustomize")}
	if k.call.otherCluster() {
		return k.check(files, nil)
	}
	if !k.call.needsServer() {
		return nil
	}
	info, running, err := daemon.Lookup(k.cfg)
	switch {
	case err != nil:
		return err
	case running && info.Ready:
		return k.check(files, newServed(k.cfg.KubeconfigPath()))
	case !k.call.starts() && !running:
		return cli.Exit(notRunning(k.cfg), exitFailed)
	case !k.call.starts(): // it is just starting or stopping
		return k.check(files, nil)
	}
	// No daemon is started for manifests that are refused anyway.
	if err := k.check(files, nil); err != nil {
		return err
	}
	if !running {
		fmt.Fprintf(k.env.stderr, "%s is not running: starting it\n", programName)
	}
	if err := k.startDaemon(); err != nil {
		return err
	}
	return k.check(files, newServed(k.cfg.KubeconfigPath()))
}

// startDaemon starts it, or gives up on a signal.
func (k *kubectl) startDaemon() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return k.start(ctx)
}
