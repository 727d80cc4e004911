package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
)

func stopCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "stop",
		Usage:       "stop the pods' containers and the daemon; objects and volumes stay",
		Description: "\"kube-lite start\" brings the workloads back. To remove everything: \"kube-lite reset\".",
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			done := e.waiting(untilStopped(cfg))
			err := daemon.Stop(e.ctx, cfg)
			done()
			if errors.Is(err, daemon.ErrNotRunning) {
				fmt.Fprintln(e.stdout, "kube-lite is not running")
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "kube-lite has stopped; its objects stay: \"kube-lite%s start\" brings the workloads back\n", nameArgument(cfg))
			return nil
		}),
	}
}
