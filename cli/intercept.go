package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/urfave/cli/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/completion"

	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/intercept"
	"github.com/kube-lite/kube-lite/manifest"
)

const (
	interceptName  = "intercept"
	interceptUsage = "lead a Service's traffic to a process on this machine, for debugging it there"
)

// restoreLimit is how long the command waits until the traffic is back at the pods.
const restoreLimit = 20 * time.Second

// interceptCommand is a command of ours that takes kubectl's flags, as its verbs do.
func interceptCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:            interceptName,
		Usage:           interceptUsage,
		ArgsUsage:       "SERVICE",
		SkipFlagParsing: true,
		HideHelp:        true, // kubectl's
		Action: func(c *cli.Context) error {
			return e.runKubectl(c, append([]string{interceptName}, c.Args().Slice()...))
		},
	}
}

// interception is one run of the command.
type interception struct {
	env     *env
	streams genericiooptions.IOStreams
	client  kubernetes.Interface
	request intercept.Request

	envFile, container string
	run                bool
	command            []string // of run

	reading sync.WaitGroup // what reads the stream
	isLost  bool           // the daemon has ended the intercept
}

// newIntercept is the command as kubectl runs it.
func (e *env) newIntercept(f cmdutil.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	i := &interception{env: e, streams: streams}
	c := &cobra.Command{
		Use:                   interceptName + " SERVICE --to HOST:PORT [--run -- COMMAND]",
		DisableFlagsInUseLine: true,
		Short:                 "Lead a Service's traffic to a process on this machine",
		Long: "Lead new connections to a port of a Service to a process on this machine, wherever they come from: pods, this machine, NodePorts,\n" +
			"load balancers, Ingresses. The pods stay as they are, and so do the connections that they have. While the process does not take\n" +
			"connections, the pods do; all of them return to the pods when this command ends, however it ends.\n\n" +
			"It takes the right to create nodes/proxy, and get to see its end; with --env and --run, to read what the environment is made of.",
		Example: "  kubectl intercept web --to localhost:3000\n  kubectl intercept web --port http --to localhost:3000 --header x-user=me\n" +
			"  kubectl intercept web --to localhost:3000 --env web.env\n  kubectl intercept web --to localhost:3000 --run -- npm start",
		Hidden:            true, // from kubectl's own list of verbs; it is in ours
		ValidArgsFunction: completion.ResourceNameCompletionFunc(f, "service"),
	}
	flags := c.Flags()
	flags.StringVar(&i.request.Port, "port", "", "The port of the Service, by name or number; not needed where it has one of TCP")
	flags.StringVar(&i.request.To, "to", "", "Where the process listens, as HOST:PORT")
	flags.StringArrayVar(&i.request.Headers, "header", nil, "KEY=VALUE: only HTTP requests with this header go to the process; with several, those with all")
	flags.StringVar(&i.envFile, "env", "", "Write the environment that the manifest gives the Service's pod to this file, for a shell to source")
	flags.StringVarP(&i.container, "container", "c", "", "The container whose environment is meant; default the first")
	flags.BoolVar(&i.run, "run", false, "Start the command behind -- with that environment and the pod's DNS; the intercept ends with it")
	c.Run = func(cmd *cobra.Command, args []string) { cmdutil.CheckErr(i.main(cmd, f, args)) }
	return c
}

// read takes what the command line says.
func (i *interception) read(cmd *cobra.Command, f cmdutil.Factory, args []string) (err error) {
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		args, i.command = args[:at], args[at:]
	}
	switch {
	case len(args) != 1:
		return errors.New(`intercept: name one Service, as in "` + programName + ` intercept web --to localhost:3000"`)
	case i.request.To == "":
		return errors.New("intercept: say where the process listens: --to localhost:3000")
	case i.run != (len(i.command) > 0):
		return errors.New(`intercept: --run takes the command behind --, as in "--run -- npm start"`)
	case i.container != "" && i.envFile == "" && !i.run:
		return errors.New("intercept: --container is for --env and --run")
	}
	i.request.Service = args[0]
	if i.request.Namespace, _, err = f.ToRawKubeConfigLoader().Namespace(); err != nil {
		return err
	}
	i.client, err = f.KubernetesClientSet()
	return err
}

func (i *interception) main(cmd *cobra.Command, f cmdutil.Factory, args []string) error {
	if err := i.read(cmd, f, args); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	ctx := i.env.ctx
	svc, err := i.client.CoreV1().Services(i.request.Namespace).Get(ctx, i.request.Service, metav1.GetOptions{})
	if err != nil {
		return err
	}
	port, err := intercept.PortOf(svc, i.request.Port, manifest.Nearest)
	if err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	i.request.Port = strconv.Itoa(int(port.Port))
	var variables []variable
	if i.envFile != "" || i.run {
		if variables, err = (&environment{client: i.client}).of(ctx, svc, i.container); err != nil {
			return fmt.Errorf("intercept: the environment of the pods of Service %s: %w", svc.Name, err)
		}
	}
	info, _, err := daemon.Lookup(i.env.cfg)
	switch {
	case err != nil:
		return err
	case info.Node == "":
		return errors.New("intercept: the daemon that runs is older than this command: stop it and start it again")
	}
	stream, err := intercept.Client{API: i.client.CoreV1().RESTClient(), Node: info.Node}.Start(ctx, i.request)
	if err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	err = errors.Join(i.hold(stream, variables, signals), i.end(stream))
	i.reading.Wait()
	return err
}

// hold keeps the intercept until there is a reason to end it.
func (i *interception) hold(stream *intercept.Stream, variables []variable, signals <-chan os.Signal) error {
	if i.envFile != "" {
		if err := writeEnvironment(i.envFile, variables); err != nil {
			return fmt.Errorf("intercept: %w", err)
		}
	}
	first := stream.First()
	fmt.Fprintf(i.streams.ErrOut, "Intercepting %s: new connections go there. ", first.Intercept)
	var child *child // nil: none
	if i.run {
		fmt.Fprintf(i.streams.ErrOut, "It ends with %s.\n", i.command[0])
		var err error
		if child, err = i.startChild(variables, first.ResolvConf); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(i.streams.ErrOut, "Ctrl-C ends it.")
		if first.State == intercept.ToPods {
			i.tell(first)
		}
	}
	events, failed, ended := make(chan intercept.Event), make(chan error, 1), make(chan struct{})
	defer close(ended)
	i.reading.Go(func() {
		for {
			event, err := stream.Next()
			if err != nil {
				failed <- err
				return
			}
			select {
			case events <- event:
			case <-ended:
				return
			}
		}
	})
	return i.follow(events, failed, signals, child)
}

// follow says what happens to the intercept, and returns when it is to end.
func (i *interception) follow(events <-chan intercept.Event, failed <-chan error, signals <-chan os.Signal, child *child) error {
	for {
		select {
		case event := <-events:
			i.tell(event)
		case s := <-signals:
			if child == nil {
				return nil
			}
			child.signal(s)
		case code := <-child.ended():
			i.env.exit = code
			return nil
		case err := <-failed:
			child.stop()
			i.isLost = true
			return i.lost(err)
		}
	}
}

// tell says where new connections go now.
func (i *interception) tell(e intercept.Event) {
	if e.State == intercept.ToPods {
		fmt.Fprintf(i.streams.ErrOut, "%s takes no connections, and the pods do until it does: %s\n", i.request.To, e.Error)
		return
	}
	fmt.Fprintf(i.streams.ErrOut, "%s takes connections again.\n", i.request.To)
}

// lost says why the daemon has ended the intercept.
func (i *interception) lost(err error) error {
	if i.daemonEnded() {
		return fmt.Errorf("intercept: the daemon has ended, and the intercept with it; if it was killed, nobody answers at the intercepted port "+
			"until \"%s%s start\"", programName, i.env.instanceFlags)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the daemon is stopping")
	}
	return fmt.Errorf("intercept: the daemon has ended it: %w", err)
}

// killedLimit is how long the kernel may take to close what a process had that was killed.
const killedLimit = 2 * time.Second

// daemonEnded tells whether the daemon did. Of a process that was killed the connections may be closed before its lock is.
func (i *interception) daemonEnded() bool {
	for limit := time.Now().Add(killedLimit); ; time.Sleep(pollInterval) {
		if info, running, err := daemon.Lookup(i.env.cfg); err != nil || !running || info.Stopping || time.Now().After(limit) {
			return err == nil && !running
		}
	}
}

// end gives the traffic back.
func (i *interception) end(stream *intercept.Stream) error {
	if i.isLost {
		stream.Cancel()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(i.env.ctx), restoreLimit)
	defer cancel()
	if err := stream.Close(ctx); err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	ended := stream.First().Intercept
	port := cmp.Or(ended.PortName, strconv.Itoa(int(ended.Port)))
	fmt.Fprintf(i.streams.ErrOut, "%s/%s:%s goes to its pods again.\n", ended.Namespace, ended.Service, port)
	return nil
}
