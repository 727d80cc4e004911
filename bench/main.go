package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// bench is what every figure works with.
type bench struct {
	binary string // kube-lite's, an absolute path
	repo   string // its testdata is used
	rounds int
	// coreDNS is the binary of the DNS yardstick; empty: there is none.
	coreDNS string
	// kubeAPIServer and etcd are the binaries of the API's yardstick; empty: there is none.
	kubeAPIServer, etcd string
	// kubeProxy is the binary of the proxy's yardstick, which reads from kubeAPIServer; empty: there is none.
	kubeProxy string
	// nginx is the binary of the HTTP yardstick; empty: there is none.
	nginx string
	// benchmarks is the test program of package runtime, once it is built.
	benchmarks string
	log        io.Writer // progress
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && parts[args[0]] != nil {
		return parts[args[0]](ctx, args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 5, "rounds per figure, at least 1")
	only := flags.String("only", "", "comma-separated `figures` to measure: "+strings.Join(names(figures()), ","))
	jsonPath := flags.String("json", "", "write the samples as JSON to `FILE`; - prints them in place of the table")
	binary := flags.String("kube-lite", "bin/kube-lite", "`PATH` of the binary to measure")
	coreDNS := flags.String("coredns", "", "`PATH` of the CoreDNS to compare DNS with; without one DNS is skipped")
	kubeAPIServer := flags.String("kube-apiserver", "", "`PATH` of the kube-apiserver to compare the API with; without one that is skipped")
	etcd := flags.String("etcd", "", "`PATH` of the etcd that it uses")
	kubeProxy := flags.String("kube-proxy", "", "`PATH` of the kube-proxy to compare Services with, beside those two; without one that is skipped")
	nginx := flags.String("nginx", "", "`PATH` of the nginx to compare Ingresses with; without one they are skipped")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	chosen, err := choose(figures(), *only)
	if err != nil {
		return err
	}
	b, err := newBench(*binary, *coreDNS, max(1, *rounds))
	if err != nil {
		return err
	}
	b.kubeAPIServer, b.etcd, b.kubeProxy, b.nginx = *kubeAPIServer, *etcd, *kubeProxy, *nginx
	machine, err := describe(ctx, b)
	if err != nil {
		return err
	}
	results, err := b.measure(ctx, chosen)
	if e := write(report{machine, results}, *jsonPath); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// measure takes the figures one after the other. It goes on after one that fails, but not after ctx.
func (b *bench) measure(ctx context.Context, chosen []figure) (results []result, err error) {
	for _, f := range chosen {
		fmt.Fprintf(b.log, "== %s: %s\n", f.Name, f.What)
		samples, note, e := f.measure(ctx, b)
		if errors.As(e, new(skipped)) {
			fmt.Fprintln(b.log, "   skipped:", e)
			note, e = e.Error(), nil
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f.Name, e))
			note = "failed: " + e.Error()
		}
		results = append(results, f.result(samples, note))
		if ctx.Err() != nil {
			return results, err
		}
	}
	return results, err
}

// say tells how a round went.
func (b *bench) say(round, of int, format string, args ...any) {
	fmt.Fprintf(b.log, "   %d/%d  %s\n", round, of, fmt.Sprintf(format, args...))
}

// skipped says why a figure cannot be had on this machine.
type skipped string

func (s skipped) Error() string { return string(s) }

func names(list []figure) (out []string) {
	for _, f := range list {
		out = append(out, f.Name)
	}
	return out
}

// choose picks the figures that are named, or whose group is: "api" names "api.gets" and its like. None means all.
func choose(all []figure, only string) ([]figure, error) {
	if only == "" {
		return all, nil
	}
	var chosen []figure
	for name := range strings.SplitSeq(only, ",") {
		known := len(chosen)
		for _, f := range all {
			if f.Name == name || strings.HasPrefix(f.Name, name+".") {
				chosen = append(chosen, f)
			}
		}
		if len(chosen) == known {
			return nil, fmt.Errorf("-only=%s: there is no such figure: use %s", name, strings.Join(names(all), ","))
		}
	}
	return chosen, nil
}
