package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/docker/go-units"
	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/prune"
	"github.com/urfave/cli/v2"
)

func pruneCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove what the instance no longer needs, and say how much disk that frees",
		Description: "Dead containers that a later one has replaced, and leftovers of deleted pods. What was\n" +
			"removed is listed; images only with --images, since building them again may take long.\n" +
			"Volumes that were released and whose data is retained are listed, never removed.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "images", Usage: "also remove the images that no object refers to and no container uses"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would be removed"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask before images are removed"},
		},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			info, running, err := daemon.Lookup(cfg)
			if err != nil {
				return err
			}
			if !running {
				return cli.Exit(notRunning(cfg), exitFailed)
			}
			return e.prune(c.Context, cfg, info.DockerHost, c.Bool("yes"), prune.Options{
				Instance: cfg.Name, Root: cfg.DataDir, Images: c.Bool("images"), DryRun: c.Bool("dry-run"),
			})
		}),
	}
}

// prune asks before it removes images: they are the engine's, and what no object
// of this instance refers to may still be what somebody built this morning.
func (e *env) prune(ctx context.Context, cfg daemon.Config, dockerHost string, yes bool, opts prune.Options) error {
	client, err := clientOf(cfg, 0)
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	engine, err := docker.Connect(ctx, dockerHost, cfg.Log)
	if err != nil {
		return err
	}
	defer engine.Close()
	run := func(opts prune.Options) error {
		var step atomic.Pointer[string]
		step.Store(new(string))
		opts.Progress = func(s string) { step.Store(&s) }
		quiet := e.waiting(func(context.Context) string { return *step.Load() })
		done, err := prune.Run(ctx, engine, client, opts)
		quiet()
		e.printPruned(done, opts.DryRun)
		if err := errors.Join(err, e.printReleased(ctx, client, cfg)); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		return nil
	}
	if opts.Images && !opts.DryRun && !yes {
		preview := opts
		preview.DryRun = true
		if err := run(preview); err != nil {
			return err
		}
		if !e.confirm("Remove all of this? Images of others on this engine may be among it.") {
			return errors.New("prune: nothing was removed; say y, or give --yes")
		}
	}
	return run(opts)
}

func (e *env) printPruned(done []prune.Item, dryRun bool) {
	remove, free := "removed", "freed"
	if dryRun {
		remove, free = "would remove", "would free"
	}
	var total int64
	for _, p := range done {
		fmt.Fprintf(e.stdout, "%s %s %s (%s)\n", remove, p.Kind, p.Name, units.HumanSize(float64(p.Bytes)))
		total += p.Bytes
	}
	fmt.Fprintf(e.stdout, "%s %s\n", free, units.HumanSize(float64(total)))
}
