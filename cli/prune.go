package cli

import (
	"context"
	"fmt"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/runtime"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

func pruneCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove what the instance no longer needs, and say how much disk that frees",
		Description: "Dead containers that a later one has replaced, and leftovers of deleted pods. What was\n" +
			"removed is listed; images only with --images, since building them again may take long.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "images", Usage: "also remove the images that no object refers to and no container uses"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be removed"},
		},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			info, running, err := daemon.Lookup(cfg)
			if err != nil {
				return err
			}
			if !running {
				return cli.Exit(notRunning(cfg), exitFailed)
			}
			return e.prune(c.Context, cfg, info, c.Bool("images"), c.Bool("dry-run"))
		}),
	}
}

func (e *env) prune(ctx context.Context, cfg daemon.Config, info daemon.Info, images, dryRun bool) error {
	client, err := clientOf(cfg, 0)
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	engine, err := docker.Connect(ctx, info.DockerHost, cfg.Log)
	if err != nil {
		return err
	}
	defer engine.Close()
	done, err := runtime.Prune(ctx, engine, client, runtime.PruneOptions{
		Instance: cfg.Name, Root: cfg.DataDir, Images: images, DryRun: dryRun,
	})
	verb, total := "removed", int64(0)
	if dryRun {
		verb = "would remove"
	}
	for _, p := range done {
		fmt.Fprintf(e.stdout, "%s %s %s (%s)\n", verb, p.Kind, p.Name, units.HumanSize(float64(p.Bytes)))
		total += p.Bytes
	}
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	if dryRun {
		fmt.Fprintf(e.stdout, "would free %s\n", units.HumanSize(float64(total)))
	} else {
		fmt.Fprintf(e.stdout, "freed %s\n", units.HumanSize(float64(total)))
	}
	return nil
}
