package netproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sigs.k8s.io/knftables"
)

// Cleanup removes every chain, jump, table and route of the instance, whatever its mode was. It needs only Instance and Bridge, may be called
// at any time but beside a Run of the same instance, and any number of times; where there is nothing, not
// even iptables, there is nothing to do. Kernel settings stay where others may rely on them by now (ip_forward, and
// what iptables sees of bridges); those of the bridge go with it.
func Cleanup(ctx context.Context, opts Options) error {
	var errs []error
	for _, f := range opts.families() {
		h := host{bridge: opts.Bridge, serviceCIDR: opts.ranges(f).ServiceCIDR}
		_, err := removeTable(ctx, f, opts.Instance)
		errs = append(errs, cleanupRules(ctx, f, opts), err, h.cleanup())
	}
	return errors.Join(errs...)
}

func cleanupRules(ctx context.Context, f family, opts Options) error {
	tools, err := findIPTables(f)
	if errors.Is(err, errNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return newApplier(tools, opts.Instance, opts.Bridge, cmp.Or(opts.Log, slog.Default())).remove(ctx)
}

// remove takes away every jump and chain, from one table though another fails.
func (a *applier) remove(ctx context.Context) error {
	a.applied = nil
	var errs []error
	for _, table := range tables() {
		_, err := a.applyTable(ctx, table, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeTable removes the instance's table of nftables. Where there is none, not even nft is needed.
func removeTable(ctx context.Context, f family, instance string) (transactions uint32, err error) {
	if there, err := tableExists(f, nftTable(instance)); err != nil || !there {
		return 0, err
	}
	nft, err := findNFT(f, nftTable(instance))
	if err != nil {
		return 0, err
	}
	tx := nft.NewTransaction()
	tx.Delete(&knftables.Table{})
	if err := nft.Run(ctx, tx); err != nil {
		return 0, fmt.Errorf("removing the nftables table %s: %w", nftTable(instance), err)
	}
	return 1, nil
}
