package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// memorySettle is how long after its start an idle daemon is looked at: the garbage of the start is collected by
	// then, and what it took is given back.
	memorySettle = time.Minute
	// memoryInterval is the time between two looks.
	memoryInterval = 5 * time.Second
	// cpuSettle is how long after the last pod's start a daemon is idle.
	cpuSettle = 10 * time.Second
	// cpuWindow is the design's.
	cpuWindow = 30 * time.Second
	// quickStartPods is how many replicas the quick start's Deployment has.
	quickStartPods = 3
)

func measureMemory(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		if err := i.run(ctx, quickStartPods, deploymentFile, serviceFile); err != nil {
			return err
		}
		if err := sleep(ctx, memorySettle-memoryInterval); err != nil {
			return err
		}
		for round := 1; round <= b.rounds; round++ {
			if err := sleep(ctx, memoryInterval); err != nil {
				return err
			}
			bytes, err := rssAnon(i.status.PID)
			if err != nil {
				return err
			}
			samples = append(samples, float64(bytes)/1e6)
			b.say(round, b.rounds, "%.1f MB", samples[len(samples)-1])
		}
		return nil
	})
	return samples, fmt.Sprintf("RssAnon of /proc/PID/status, %v after the start and every %v from then on", memorySettle, memoryInterval), err
}

func measureCPU(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		deployment, err := b.deployment(podCount)
		if err != nil {
			return err
		}
		path, err := i.write(deployment)
		if err != nil {
			return err
		}
		if err := i.run(ctx, podCount, path); err != nil {
			return err
		}
		if err := sleep(ctx, cpuSettle); err != nil {
			return err
		}
		for round := 1; round <= b.rounds; round++ {
			percent, own, err := cpuOver(ctx, i.status.PID, cpuWindow)
			if err != nil {
				return err
			}
			samples = append(samples, percent)
			b.say(round, b.rounds, "%.2f %%, %.2f %% in the daemon itself", percent, own)
		}
		return nil
	})
	return samples, fmt.Sprintf("user and system time over %v, the programs that the daemon ran included", cpuWindow), err
}

// cpuOver is the percentage of one core that a process took, with its children and alone.
func cpuOver(ctx context.Context, pid int, window time.Duration) (all, own float64, err error) {
	before, err := cpuTimes(pid)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := sleep(ctx, window); err != nil {
		return 0, 0, err
	}
	after, err := cpuTimes(pid)
	if err != nil {
		return 0, 0, err
	}
	wall := time.Since(began)
	own = 100 * float64(after.own-before.own) / float64(wall)
	return own + 100*float64(after.children-before.children)/float64(wall), own, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
