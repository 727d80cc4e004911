package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// What a second node costs: two idle instances side by side, of one node and of two.

const (
	// nodesSettle is when the controllers that registered the second node have ended again: a minute after it was well.
	nodesSettle = 2 * time.Minute
	// nodesWindow has a forced garbage collection in it, in each of the two: Go has one every two minutes, and it takes as long
	// as a second node does meanwhile.
	nodesWindow = 2 * time.Minute
)

// withNodes starts both, and has them used when they have come to rest.
func (b *bench) withNodes(ctx context.Context, settle time.Duration, use func(one, two *instance) error) error {
	return b.with(ctx, func(one *instance) error {
		return b.with(ctx, func(two *instance) error {
			if err := sleep(ctx, settle); err != nil {
				return err
			}
			return use(one, two)
		}, "--nodes=2")
	})
}

func measureNodeMemory(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.withNodes(ctx, memorySettle, func(one, two *instance) error {
		for round := 1; round <= b.rounds; round++ {
			if err := sleep(ctx, memoryInterval); err != nil {
				return err
			}
			of, err := rssAnon(one.status.PID)
			if err != nil {
				return err
			}
			with, err := rssAnon(two.status.PID)
			if err != nil {
				return err
			}
			samples = append(samples, (float64(with)-float64(of))/1e6)
			b.say(round, b.rounds, "%.1f MB more than %.1f MB", samples[len(samples)-1], float64(of)/1e6)
		}
		return nil
	})
	return samples, fmt.Sprintf("RssAnon of an instance with two nodes less that of one with one, %v after their start; the controllers of several nodes count", memorySettle), err
}

func measureNodeCPU(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.withNodes(ctx, nodesSettle, func(one, two *instance) error {
		for round := 1; round <= b.rounds; round++ {
			var of, with float64
			group, ctx := errgroup.WithContext(ctx)
			for percent, i := range map[*float64]*instance{&of: one, &with: two} {
				group.Go(func() (err error) { *percent, _, err = cpuOver(ctx, i.status.PID, nodesWindow); return err })
			}
			if err := group.Wait(); err != nil {
				return err
			}
			samples = append(samples, with-of)
			b.say(round, b.rounds, "%.3f %% more than %.3f %%", samples[len(samples)-1], of)
		}
		return nil
	})
	return samples, fmt.Sprintf("user and system time of an instance with two nodes less that of one with one, over the same %v, %v after their start", nodesWindow, nodesSettle), err
}
