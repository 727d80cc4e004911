// Command kube-lite gives a laptop or a CI job the Kubernetes API over the
// Docker engine that it already has.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/kube-lite/kube-lite/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: the first one's grace is over.
	context.AfterFunc(ctx, stop)
	return cli.Main(ctx, os.Args)
}
