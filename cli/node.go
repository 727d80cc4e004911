package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/kube-lite/kube-lite/daemon"
)

const (
	// nodeLimit is how long a command waits for a node to come or to go silent.
	nodeLimit = 60 * time.Second
	// nodeGoneLimit is how long one waits for a node to be taken away: its Pods have their grace periods first.
	nodeGoneLimit = 3 * time.Minute
	// nodePoll is how often it looks.
	nodePoll = 50 * time.Millisecond
)

func nodeCommand(e *env) *cli.Command {
	one := func(name, usage, description string, flags []cli.Flag, run func(*cli.Context, *nodeChange) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, Description: description, ArgsUsage: "NAME", Flags: flags,
			OnUsageError: usageError,
			Action: func(c *cli.Context) error {
				change, err := newNodeChange(e, c)
				if err != nil {
					return err
				}
				return run(c, change)
			},
		}
	}
	return &cli.Command{
		Name:  "node",
		Usage: "add nodes to the instance, take them away, or let them go silent and come back",
		Description: "A node is a node agent in the daemon, over the same Docker engine: for anti-affinity, topology spread,\n" +
			"drains, DaemonSets and the failure of nodes. What the machine has is divided among them.",
		Subcommands: []*cli.Command{
			one("add", "add a node and wait until it is ready", "", []cli.Flag{
				&cli.StringSliceFlag{Name: "node-label", Usage: "label of the Node, `KEY=VALUE`, such as topology.kubernetes.io/zone=b"},
			}, func(c *cli.Context, n *nodeChange) error {
				return n.add(append(c.StringSlice("node-label"), n.flags.StringSlice("node-label")...))
			}),
			one("remove", "end a node's pods and take it away", "Its pods get their grace periods; \"kube-lite drain NAME\" before respects PodDisruptionBudgets too.",
				nil, func(_ *cli.Context, n *nodeChange) error { return n.remove() }),
			one("stop", "let a node go silent, as if it had lost its network", "Its containers go on running. After 50 s it is NotReady, and its pods are evicted by their tolerations.",
				nil, func(_ *cli.Context, n *nodeChange) error { return n.label(daemon.AgentStopped) }),
			one("start", "let a silent node come back", "It adopts what still runs of its pods, and ends what was deleted meanwhile.",
				nil, func(_ *cli.Context, n *nodeChange) error { return n.label(daemon.AgentRunning) }),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("node %s: use add, remove, stop or start; \"kube-lite get nodes\" lists them", c.Args().First())
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

// nodeChange is what a command does to one node of an instance.
type nodeChange struct {
	env    *env
	flags  *cli.Context // those behind the name
	cfg    daemon.Config
	name   string
	client kubernetes.Interface
}

func newNodeChange(e *env, c *cli.Context) (*nodeChange, error) {
	behind, err := flagsBehind(c)
	if err != nil {
		return nil, err
	}
	if !c.Args().Present() || behind.Args().Present() {
		return nil, fmt.Errorf("node %s: name one node: kube-lite node %s NAME", c.Command.Name, c.Command.Name)
	}
	cfg, err := configOf(c)
	if err != nil {
		return nil, err
	}
	n := &nodeChange{env: e, flags: behind, cfg: cfg, name: c.Args().First()}
	if err := daemon.ValidateNodeName(n.name); err != nil {
		return nil, fmt.Errorf("node %w", err)
	}
	info, running, err := daemon.Lookup(cfg)
	if err != nil {
		return nil, err
	}
	if !running || !info.Ready {
		return nil, cli.Exit(notRunning(cfg), exitNotRunning)
	}
	n.client, err = clientOf(cfg, nodeLimit)
	return n, err
}

// flagsBehind parses the command's flags behind its first argument, where kubectl's users put them and the library does not look.
func flagsBehind(c *cli.Context) (*cli.Context, error) {
	set := flag.NewFlagSet(c.Command.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range c.Command.Flags {
		if err := f.Apply(set); err != nil {
			return nil, err
		}
	}
	if err := set.Parse(c.Args().Tail()); err != nil {
		return nil, fmt.Errorf("%s: %w", fullName(c.Command), err)
	}
	return cli.NewContext(c.App, set, c), nil
}

// add makes a Node and waits until it is ready. One that cannot become it is taken away again.
func (n *nodeChange) add(labels []string) error {
	node := daemon.NewNode(n.name)
	for _, text := range labels {
		l, err := daemon.ParseNodeLabel(text)
		if err != nil {
			return err
		}
		if l.Node != 0 {
			return fmt.Errorf("--node-label %q: use KEY=VALUE: the node is named already", text)
		}
		node.Labels[l.Key] = l.Value
	}
	_, err := n.client.CoreV1().Nodes().Create(n.env.ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("node %s is there already", n.name)
	}
	if err != nil {
		return fmt.Errorf("add the node %s: %w", n.name, err)
	}
	err = n.wait(nodeLimit, func(ctx context.Context) (bool, error) { return n.isReady(ctx) })
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(n.env.ctx), nodeLimit)
		defer cancel()
		undo := n.client.CoreV1().Nodes().Delete(ctx, n.name, metav1.DeleteOptions{})
		return errors.Join(fmt.Errorf("add the node %s: %w", n.name, err), undo)
	}
	fmt.Fprintf(n.env.stdout, "node/%s added\n", n.name)
	return nil
}

// isReady tells whether pods could run on the node; the error is why they never will.
func (n *nodeChange) isReady(ctx context.Context) (bool, error) {
	node, err := n.client.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	for _, c := range node.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Reason == daemon.ReasonNoRange {
			return false, errors.New(c.Message)
		}
		return c.Status == corev1.ConditionTrue && n.answers(ctx), nil
	}
	return false, nil
}

// answers tells whether the node's agent answers.
func (n *nodeChange) answers(ctx context.Context) bool {
	return n.client.CoreV1().RESTClient().Get().Resource("nodes").Name(n.name).SubResource("proxy").Suffix("healthz").Do(ctx).Error() == nil
}

// remove deletes the Node, and waits until all of it is gone.
func (n *nodeChange) remove() error {
	if _, err := n.get(); err != nil {
		return err
	}
	first, err := daemon.FirstNode(n.cfg)
	if err != nil {
		return err
	}
	if n.name == first {
		return fmt.Errorf("node %s is the one that the instance began with: it goes with the instance (kube-lite reset)", n.name)
	}
	if err := n.client.CoreV1().Nodes().Delete(n.env.ctx, n.name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the node %s: %w", n.name, err)
	}
	done := n.env.waiting(func(ctx context.Context) string { return n.remaining(ctx) })
	defer done()
	err = n.wait(nodeGoneLimit, func(ctx context.Context) (bool, error) {
		_, err := n.client.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("remove the node %s: %w: see %s", n.name, err, n.cfg.LogPath())
	}
	fmt.Fprintf(n.env.stdout, "node/%s removed\n", n.name)
	return nil
}

// remaining says what a removal waits for.
func (n *nodeChange) remaining(ctx context.Context) string {
	list, err := n.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + n.name})
	if err != nil || len(list.Items) == 0 {
		return "waiting for what it has left to be removed"
	}
	var names []string
	for _, pod := range list.Items {
		names = append(names, pod.Namespace+"/"+pod.Name)
	}
	slices.Sort(names)
	return untilEnded(names)
}

// get reads the Node; the error names those that there are.
func (n *nodeChange) get() (*corev1.Node, error) {
	node, err := n.client.CoreV1().Nodes().Get(n.env.ctx, n.name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return node, err
	}
	list, listErr := n.client.CoreV1().Nodes().List(n.env.ctx, metav1.ListOptions{})
	if listErr != nil {
		return nil, err
	}
	var names []string
	for _, other := range list.Items {
		names = append(names, other.Name)
	}
	return nil, fmt.Errorf("there is no node %s: there are %s", n.name, strings.Join(names, ", "))
}

// label lets the node's agent run or not, and waits until it does, or does not answer any more.
func (n *nodeChange) label(agent string) error {
	if _, err := n.get(); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{daemon.AgentLabel: agent}}})
	if err != nil {
		return err
	}
	if _, err := n.client.CoreV1().Nodes().Patch(n.env.ctx, n.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("node %s: %w", n.name, err)
	}
	done, said := func(ctx context.Context) (bool, error) { return n.isReady(ctx) }, "started"
	if agent == daemon.AgentStopped {
		done, said = func(ctx context.Context) (bool, error) { return !n.answers(ctx), ctx.Err() }, "stopped"
	}
	if err := n.wait(nodeLimit, done); err != nil {
		return fmt.Errorf("node %s has not %s: %w", n.name, said, err)
	}
	fmt.Fprintf(n.env.stdout, "node/%s %s\n", n.name, said)
	return nil
}

// wait asks until it is done, fails, or limit is over.
func (n *nodeChange) wait(limit time.Duration, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(n.env.ctx, limit)
	defer cancel()
	tick := time.NewTicker(nodePoll)
	defer tick.Stop()
	for {
		if is, err := done(ctx); err != nil || is {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// checkNodes tells whether a daemon that runs already has as many nodes as a start asks for.
func checkNodes(ctx context.Context, cfg daemon.Config) error {
	if cfg.Nodes == 0 {
		return nil
	}
	client, err := clientOf(cfg, nodeLimit)
	if err != nil {
		return err
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	if have := len(list.Items); have != cfg.Nodes {
		return fmt.Errorf("--nodes %d: it has %s: \"kube-lite%s node add NAME\" and \"node remove NAME\" change that while it runs",
			cfg.Nodes, count(have, "node"), nameArgument(cfg))
	}
	return nil
}
