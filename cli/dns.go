package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
)

func dnsCommand(e *env) *cli.Command {
	commands := []*cli.Command{
		{
			Name:  "enable",
			Usage: "have programs of this machine find the names of Services, now and after each start",
			Description: "Where programs ask systemd-resolved, it asks the instance for names below cluster.local alone. Elsewhere the instance's\n" +
				"DNS server is put first in /etc/resolv.conf, whose original is kept in /etc/resolv.conf.kube-lite.\n" +
				"stop, reset and \"dns disable\" take it back.",
			Action: onInstance(e.enableDNS),
		},
		{
			Name:   "disable",
			Usage:  "take that back",
			Action: onInstance(e.disableDNS),
		},
		{
			Name:   "status",
			Usage:  "say whether they find them, and by what",
			Action: onInstance(e.printDNS),
		},
	}
	for _, c := range commands {
		c.OnUsageError = usageError
	}
	return &cli.Command{
		Name:        "dns",
		Usage:       "have programs of this machine find *.svc.cluster.local: dns enable, dns disable, dns status",
		ArgsUsage:   "enable|disable|status",
		Subcommands: commands,
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return errors.New("dns: say enable, disable or status")
			}
			return fmt.Errorf("dns: unknown command %q: say enable, disable or status", c.Args().First())
		},
	}
}

func (e *env) enableDNS(_ *cli.Context, cfg daemon.Config) error {
	how, err := daemon.EnableHostDNS(e.ctx, cfg)
	if errors.Is(err, daemon.ErrNotRunning) {
		return fmt.Errorf("dns enable: %s", notRunning(cfg))
	}
	if err != nil {
		return fmt.Errorf("dns enable: %w", err)
	}
	fmt.Fprintf(e.stdout, "programs of this machine find *.svc.cluster.local now, by %s, until \"kube-lite%s dns disable\"\n", how, nameArgument(cfg))
	return nil
}

func (e *env) disableDNS(_ *cli.Context, cfg daemon.Config) error {
	had, note, err := daemon.DisableHostDNS(e.ctx, cfg)
	switch {
	case err != nil:
		return fmt.Errorf("dns disable: %w", err)
	case !had:
		fmt.Fprintf(e.stdout, "programs of this machine were not led to the instance %q\n", cfg.Name)
		return nil
	}
	if note != "" {
		fmt.Fprintln(e.stderr, note)
	}
	fmt.Fprintln(e.stdout, "programs of this machine do not find *.svc.cluster.local any more")
	return nil
}

func (e *env) printDNS(_ *cli.Context, cfg daemon.Config) error {
	wanted, how, err := daemon.HostDNS(e.ctx, cfg)
	switch {
	case err != nil:
		return fmt.Errorf("dns status: %w", err)
	case how != "":
		fmt.Fprintf(e.stdout, "enabled, by %s\n", how)
	case wanted:
		fmt.Fprintf(e.stdout, "enabled, but not in effect: the instance is not running, or %s says why\n", cfg.LogPath())
	default:
		fmt.Fprintln(e.stdout, "not enabled")
	}
	return nil
}
