package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/smallstep/truststore"
	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
)

func trustCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "trust",
		Usage: "print the certificate of the authority that signs for the hosts of Ingresses, or install it",
		Description: "Hosts that bring no Secret of their own get a certificate of this authority, which is the instance's own.\n" +
			"Its key stays in the data directory and signs nothing else. For one call: curl --cacert <(kube-lite trust) https://NAME.localhost",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "install", Usage: "have this machine and Firefox trust it"},
			&cli.BoolFlag{Name: "uninstall", Usage: "take that back; reset does not"},
		},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			file := cfg.IngressCAPath()
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("trust: the instance %q has no authority yet: start it with \"kube-lite%s start\"", cfg.Name, nameArgument(cfg))
			}
			if err != nil {
				return fmt.Errorf("trust: %w", err)
			}
			if c.Bool("install") && c.Bool("uninstall") {
				return errors.New("trust: --install and --uninstall exclude each other")
			}
			options := []truststore.Option{truststore.WithPrefix("kube-lite-" + cfg.Name + "-"), truststore.WithFirefox()}
			switch {
			case c.Bool("install"):
				if err = explained(truststore.InstallFile(file, options...)); err == nil {
					fmt.Fprintf(e.stdout, "this machine trusts the instance %q now, until \"kube-lite%s trust --uninstall\"\n", cfg.Name, nameArgument(cfg))
				}
			case c.Bool("uninstall"):
				if err = explained(truststore.UninstallFile(file, options...)); err == nil {
					fmt.Fprintf(e.stdout, "this machine does not trust the instance %q any more\n", cfg.Name)
				}
			default:
				_, err = e.stdout.Write(text)
			}
			return err
		}),
	}
}

// explained adds what the command said that changes what the machine trusts.
func explained(err error) error {
	if failed := (*truststore.CmdError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("trust: %w: %s", err, failed.Out())
	}
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	return nil
}
