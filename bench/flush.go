package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/kube-lite/kube-lite/netproxy"
)

// flushPause keeps flushes apart, so that none of them falls into the repair of the one before.
const flushPause = 10 * time.Second

// measureFlush empties the instance's tables, as somebody does by hand who cleans up, and connects to a Service until it answers
// again. Connections that are open stay so: they are the kernel's, not the rules'.
func measureFlush(mode netproxy.Mode) func(context.Context, *bench) ([]float64, string, error) {
	return func(ctx context.Context, b *bench) (samples []float64, note string, err error) {
		err = b.withProbe(ctx, func(i *instance, p *probe) error {
			if _, err := p.change(ctx, true); err != nil {
				return err
			}
			for round := range b.rounds {
				if err := sleep(ctx, flushPause); err != nil {
					return err
				}
				took, err := p.flush(ctx, i.name, mode)
				if err != nil {
					return err
				}
				samples = append(samples, float64(took)/float64(time.Millisecond))
				b.say(round+1, b.rounds, "%.0f ms", samples[round])
			}
			return nil
		}, "--proxy-mode="+string(mode))
		return samples, "from the end of the flush until a TCP connection to a ClusterIP succeeds", err
	}
}

// flush empties the instance's rules and waits until the Service answers.
func (p *probe) flush(ctx context.Context, instance string, mode netproxy.Mode) (time.Duration, error) {
	if answered, _ := p.connect(); !answered {
		return 0, fmt.Errorf("%s does not answer before the flush", p.clusterIP)
	}
	flush := flushIPTables
	if mode == netproxy.ModeNFTables {
		flush = flushNFTables
	}
	if err := flush(ctx, instance); err != nil {
		return 0, err
	}
	began := time.Now()
	for {
		if answered, _ := p.connectWithin(connectInterval * 5); answered {
			return time.Since(began), nil
		}
		if time.Since(began) > patience {
			return 0, fmt.Errorf("%s: the rules were flushed %v ago, and are not put back", p.clusterIP, patience)
		}
		if err := sleep(ctx, connectInterval); err != nil {
			return 0, err
		}
	}
}

func flushNFTables(ctx context.Context, instance string) error {
	return program(ctx, "", "nft", "flush", "table", "ip", "kube-lite-"+instance)
}

// flushIPTables empties the instance's chains in one transaction: a chain that is named without --flush is emptied.
func flushIPTables(ctx context.Context, instance string) error {
	saved, err := exec.CommandContext(ctx, "iptables-save", "-t", "nat").Output()
	if err != nil {
		return fmt.Errorf("iptables-save: %w", err)
	}
	var text strings.Builder
	text.WriteString("*nat\n")
	for line := range strings.Lines(string(saved)) {
		if strings.HasPrefix(line, ":"+netproxy.ChainPrefix(instance)) {
			text.WriteString(line)
		}
	}
	if text.Len() == len("*nat\n") {
		return errors.New("the instance has no chains")
	}
	text.WriteString("COMMIT\n")
	return program(ctx, text.String(), "iptables-restore", "--noflush", "--wait")
}

// program runs one with an input, and has its error say what it printed.
func program(ctx context.Context, input, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
