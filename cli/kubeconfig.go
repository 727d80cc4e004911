package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kube-lite/kube-lite/daemon"
)

func kubeconfigCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "kubeconfig",
		Usage: "print a kubeconfig for any Kubernetes client",
		Description: "kubectl and every other client reach this instance with it:\n\n" +
			"   kube-lite kubeconfig > kl.yaml && kubectl --kubeconfig kl.yaml get pods",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "merge", Usage: "add the instance to your own kubeconfig instead ($KUBECONFIG or ~/.kube/config)"}},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			config, err := clientcmd.LoadFromFile(cfg.KubeconfigPath())
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("the instance %q was never started: start it with \"kube-lite%s start\"", cfg.Name, nameArgument(cfg))
			}
			if err != nil {
				return fmt.Errorf("kubeconfig: %w", err)
			}
			if c.Bool("merge") {
				return e.merge(config)
			}
			text, err := clientcmd.Write(*config)
			if err != nil {
				return fmt.Errorf("kubeconfig: %w", err)
			}
			_, err = e.stdout.Write(text)
			return err
		}),
	}
}

// merge adds the instance's context to the file that kubectl would change.
// Everything else in it stays, the current context too, if there is one.
func (e *env) merge(config *clientcmdapi.Config) error {
	paths := clientcmd.NewDefaultPathOptions()
	mine, err := paths.GetStartingConfig()
	if err != nil {
		return fmt.Errorf("kubeconfig: read your own: %w", err)
	}
	// clientcmd writes an entry back to the file that it came from: these are to go to the user's.
	for name, cluster := range config.Clusters {
		cluster.LocationOfOrigin = ""
		mine.Clusters[name] = cluster
	}
	for name, user := range config.AuthInfos {
		user.LocationOfOrigin = ""
		mine.AuthInfos[name] = user
	}
	for name, context := range config.Contexts {
		context.LocationOfOrigin = ""
		mine.Contexts[name] = context
	}
	if mine.CurrentContext == "" {
		mine.CurrentContext = config.CurrentContext
	}
	if err := clientcmd.ModifyConfig(paths, *mine, false); err != nil {
		return fmt.Errorf("kubeconfig: write your own: %w", err)
	}
	fmt.Fprintf(e.stdout, "context %q added to %s\n", config.CurrentContext, paths.GetDefaultFilename())
	return nil
}
