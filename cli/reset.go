package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
)

func resetCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "reset",
		Usage: "remove the instance entirely: containers, volumes of pods, network, route, rules, data",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask first"},
			&cli.StringFlag{Name: "docker-host", Usage: "`ADDRESS` of the Docker engine (default: the instance's)"},
		},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			cfg.DockerHost = c.String("docker-host")
			if err := daemon.CheckRoot(); err != nil {
				return err
			}
			exists, err := daemon.Exists(e.ctx, cfg)
			if err != nil {
				return err
			}
			if exists && !c.Bool("yes") {
				if err := e.confirmReset(cfg); err != nil {
					return err
				}
			}
			done := e.waiting(untilReset(cfg))
			err = daemon.Reset(e.ctx, cfg)
			done()
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "the instance %q is gone\n", cfg.Name)
			return nil
		}),
	}
}

// confirmReset names the claims whose data would go: nobody else has a copy of it.
func (e *env) confirmReset(cfg daemon.Config) error {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return err
	}
	claims, err := daemon.StoredClaims(cfg)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if len(claims) > 0 {
		fmt.Fprintf(e.stderr, "The data of these claims is removed for good: %s\n", strings.Join(claims, ", "))
	}
	if !e.confirm(fmt.Sprintf("Remove the instance %q with all its pods, volumes and objects (%s)?", cfg.Name, cfg.DataDir)) {
		return errors.New("reset: nothing was removed; say y, or give --yes")
	}
	return nil
}

// confirm asks a question on stderr; only y and yes on stdin agree.
func (e *env) confirm(question string) bool {
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	line, _ := bufio.NewReader(e.stdin).ReadString('\n')
	if line == "" { // nobody there to press enter
		fmt.Fprintln(e.stderr)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}
