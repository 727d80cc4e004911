package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/completion"

	"github.com/kube-lite/kube-lite/why"
)

const (
	whyName  = "why"
	whyUsage = "say why an object is not as it was declared, and which command mends it"
)

// exitNotWell is that of why when the object is not well, apart from exitFailed, which says that nobody looked; systemctl
// has it for what is not active.
const exitNotWell = 3

// whyCommand is a command of ours that takes kubectl's flags, as its verbs do.
func whyCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:            whyName,
		Usage:           whyUsage,
		ArgsUsage:       "KIND/NAME",
		Category:        instanceCategory,
		SkipFlagParsing: true,
		HideHelp:        true, // kubectl's
		Action:          func(c *cli.Context) error { return e.runKubectl(c, append([]string{whyName}, c.Args().Slice()...)) },
	}
}

// newWhy is the command as kubectl runs it.
func (e *env) newWhy(f cmdutil.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:                   whyName + " KIND/NAME",
		DisableFlagsInUseLine: true,
		Short:                 "Say why an object is not as it was declared",
		Long: "Follow the causal chain from an object to its first broken link, and say in plain words what that is, what was looked at\n" +
			"and which command mends it. Nothing is changed.\n\n" +
			"Exit codes: 0 the object is well, 1 it could not be looked at, 3 it is not well (or not yet).",
		Example: "  kubectl why deployment/web\n  kubectl why service/web -n shop\n  kubectl why pvc data -o json\n  kubectl why deployment/web --context=prod",
		Hidden:  true, // from kubectl's own list of verbs; it is in ours

		ValidArgsFunction: completion.ResourceTypeAndNameCompletionFunc(f),
	}
	output := c.Flags().StringP("output", "o", "", "Output format: json")
	c.Run = func(cmd *cobra.Command, args []string) { cmdutil.CheckErr(e.why(cmd, f, streams, args, *output)) }
	return c
}

func (e *env) why(cmd *cobra.Command, f cmdutil.Factory, streams genericiooptions.IOStreams, args []string, output string) error {
	if output != "" && output != "json" {
		return fmt.Errorf("why: --output %q: use json", output)
	}
	namespace, _, err := f.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return err
	}
	mapping, name, err := whichObject(f, namespace, args)
	if err != nil {
		return err
	}
	client, err := f.KubernetesClientSet()
	if err != nil {
		return err
	}
	dynamic, err := f.DynamicClient()
	if err != nil {
		return err
	}
	explainer := why.New(client, dynamic, why.Options{
		Program: programName + e.instanceFlags, Flags: clusterFlags(cmd.Flags()), Namespace: usualNamespace(f, cmd.Flags()),
	})
	chain, err := explainer.Why(e.ctx, mapping, namespace, name)
	if err != nil {
		return err
	}
	if chain.State != why.OK {
		e.exit = exitNotWell
	}
	if output == "json" {
		encoder := json.NewEncoder(streams.Out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(chain)
	}
	return chain.Write(streams.Out)
}

// whichObject reads KIND/NAME or KIND NAME, of one object. Short names of kinds will do.
func whichObject(f cmdutil.Factory, namespace string, args []string) (*meta.RESTMapping, string, error) {
	one := errors.New(`why: name one object, as in "` + programName + ` why deployment/web"`)
	if len(args) == 0 || len(args) > 2 || len(args) == 1 && !strings.Contains(args[0], "/") {
		return nil, "", one
	}
	infos, err := f.NewBuilder().Unstructured().NamespaceParam(namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(false, args...).RequireObject(false).Flatten().Do().Infos()
	if err != nil {
		return nil, "", err
	}
	if len(infos) != 1 {
		return nil, "", one
	}
	return infos[0].Mapping, infos[0].Name, nil
}

// clusterFlags are the flags that lead the user's next command to the same cluster.
func clusterFlags(flags *pflag.FlagSet) string {
	var words []string
	for _, name := range []string{"kubeconfig", "context", "cluster", "user", "server", "as"} {
		if f := flags.Lookup(name); f != nil && f.Changed {
			words = append(words, "--"+name+"="+f.Value.String())
		}
	}
	return strings.Join(words, " ")
}

// usualNamespace is the one in which commands work that name none.
func usualNamespace(f cmdutil.Factory, flags *pflag.FlagSet) string {
	config, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return ""
	}
	current := config.CurrentContext
	if given := flags.Lookup("context"); given != nil && given.Changed {
		current = given.Value.String()
	}
	if c := config.Contexts[current]; c != nil && c.Namespace != "" {
		return c.Namespace
	}
	return "default"
}
