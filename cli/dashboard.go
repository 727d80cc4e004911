package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/dashboard"
)

const (
	dashboardName  = "dashboard"
	dashboardUsage = "print a link to a page that shows what runs, live"
)

// dashboardCommand is a command of ours that takes kubectl's flags, as its verbs do.
func dashboardCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:            dashboardName,
		Usage:           dashboardUsage,
		Category:        instanceCategory,
		SkipFlagParsing: true,
		HideHelp:        true, // kubectl's
		Action: func(c *cli.Context) error {
			return e.runKubectl(c, append([]string{dashboardName}, c.Args().Slice()...))
		},
	}
}

// newDashboard is the command as kubectl runs it.
func (e *env) newDashboard(f cmdutil.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:                   dashboardName + " [--open] [--port N]",
		DisableFlagsInUseLine: true,
		Short:                 "Print a link to a page that shows what runs, live",
		Long: "Print a link to the instance's page, which the daemon serves on 127.0.0.1: what runs and how it hangs together, why something\n" +
			"is not well, logs, a terminal, YAML to edit. The link is good once, for a minute; the page has the rights of the user who asked\n" +
			"(see --as), and it is served until everybody has signed out, or the instance stops.",
		Example: "  kubectl dashboard\n  kubectl dashboard --open\n  kubectl dashboard --as=system:serviceaccount:shop:viewer",
		Hidden:  true, // from kubectl's own list of verbs; it is in ours
		Args:    cobra.NoArgs,
	}
	port := c.Flags().Uint16("port", 0, "Port of the page; 0: any that is free")
	open := c.Flags().Bool("open", false, "Open it in the browser")
	c.Run = func(*cobra.Command, []string) { cmdutil.CheckErr(e.dashboard(f, streams, *port, *open)) }
	return c
}

func (e *env) dashboard(f cmdutil.Factory, streams genericiooptions.IOStreams, port uint16, open bool) error {
	client, err := f.KubernetesClientSet()
	if err != nil {
		return err
	}
	body, err := json.Marshal(dashboard.LoginRequest{Port: port, Program: programName + e.instanceFlags})
	if err != nil {
		return err
	}
	answer := client.Discovery().RESTClient().Post().AbsPath(apiserver.DashboardPath).Body(body).Do(e.ctx)
	err = answer.Error() // which reads the Status
	if apierrors.IsNotFound(err) {
		return errors.New("dashboard: this cluster is no instance of kube-lite, or an older one: it has no page")
	}
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	text, _ := answer.Raw()
	var login dashboard.Login
	if err := json.Unmarshal(text, &login); err != nil {
		return fmt.Errorf("dashboard: the answer cannot be read: %w", err)
	}
	fmt.Fprintln(streams.Out, login.URL)
	if !open {
		return nil
	}
	if err := exec.CommandContext(e.ctx, "xdg-open", login.URL).Run(); err != nil {
		return fmt.Errorf("dashboard: no browser could be opened: follow the link (%w)", err)
	}
	return nil
}
