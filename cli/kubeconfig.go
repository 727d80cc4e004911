package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "merge", Usage: "add the instance to your own kubeconfig instead ($KUBECONFIG or ~/.kube/config)"},
			&cli.BoolFlag{Name: "use", Usage: "with --merge: make the instance's context the current one"},
		},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			if c.Bool("use") && !c.Bool("merge") {
				return errors.New("kubeconfig: --use goes with --merge")
			}
			config, err := clientcmd.LoadFromFile(cfg.KubeconfigPath())
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("the instance %q was never started: start it with \"kube-lite%s start\"", cfg.Name, nameArgument(cfg))
			}
			if err != nil {
				return fmt.Errorf("kubeconfig: %w", err)
			}
			if c.Bool("merge") {
				return e.merge(config, c.Bool("use"))
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

// merge adds the instance's context to the file that kubectl would change, and
// says what it did. Everything else in it stays, the current context too if there
// is one and use does not say otherwise.
func (e *env) merge(config *clientcmdapi.Config, use bool) error {
	paths := clientcmd.NewDefaultPathOptions()
	mine, err := paths.GetStartingConfig()
	if err != nil {
		return fmt.Errorf("kubeconfig: read your own: %w", err)
	}
	name, verb := config.CurrentContext, "added to"
	if mine.Contexts[name] != nil {
		verb = "updated in"
	}
	addEntries(mine, config)
	before := mine.CurrentContext
	if before == "" || use {
		mine.CurrentContext = name
	}
	if err := clientcmd.ModifyConfig(paths, *mine, false); err != nil {
		return fmt.Errorf("kubeconfig: write your own: %w", err)
	}
	fmt.Fprintf(e.stdout, "context %q %s %s\n", name, verb, paths.GetDefaultFilename())
	switch {
	case before == name:
		fmt.Fprintln(e.stdout, "it is the current context")
	case mine.CurrentContext == name:
		fmt.Fprintln(e.stdout, "it is the current context now")
	default:
		fmt.Fprintf(e.stdout, "the current context is still %q: --use switches\n", before)
	}
	return e.protect(paths.GetDefaultFilename())
}

// addEntries takes over the clusters, users and contexts. clientcmd writes an entry back to the
// file that it came from: these are to go to the user's.
func addEntries(mine, config *clientcmdapi.Config) {
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
}

// protect keeps others from reading the admin's key, which is in the file now.
func (e *env) protect(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	fmt.Fprintf(e.stdout, "its mode was %o and is 600 now: it holds the key of the instance's admin\n", info.Mode().Perm())
	return nil
}
