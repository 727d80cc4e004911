package netproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Cleanup removes every chain, jump and route of the instance. It needs only Instance and Bridge, may be called
// at any time but beside a Run of the same instance, and any number of times; where there is nothing, not
// even iptables, there is nothing to do. Kernel settings stay where others may rely on them by now (ip_forward, and
// what iptables sees of bridges); those of the bridge go with it.
func Cleanup(ctx context.Context, opts Options) error {
	h := host{bridge: opts.Bridge, serviceCIDR: opts.ServiceCIDR}
	return errors.Join(cleanupRules(ctx, opts), h.cleanup())
}

func cleanupRules(ctx context.Context, opts Options) error {
	backend, err := findBackend()
	if errors.Is(err, errNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	a := applier{run: backend, jumps: backend.jumps, prefix: ChainPrefix(opts.Instance), bridge: opts.Bridge,
		log: cmp.Or(opts.Log, slog.Default())}
	return a.remove(ctx)
}

// remove takes the jumps away, then the chains: nothing may lead to a chain that is removed.
func (a *applier) remove(ctx context.Context) error {
	var errs []error
	for _, table := range tables() {
		saved, err := a.run.save(ctx, table)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found := a.parse(saved)
		for _, j := range jumps() {
			for n := found.jumps[j.chain]; j.table == table && n > 0; n-- {
				if err := a.jumps.DeleteIfExists(table, j.chain, "-j", a.prefix+j.chain); err != nil {
					errs = append(errs, fmt.Errorf("removing the jump from %s: %w", j.chain, err))
					break
				}
			}
		}
		if text := restoreText(table, nil, nil, found.names()); text != nil {
			if err := a.run.restore(ctx, text); err != nil {
				errs = append(errs, fmt.Errorf("removing the chains of table %s: %w", table, err))
			}
		}
	}
	return errors.Join(errs...)
}
