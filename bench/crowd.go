package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Crowds are more pods than Docker could start here. Benchmarks of package runtime make them, in a process of their own
// for each sample, with everything of the daemon but a Docker that only pretends: see runtime/crowd_bench_test.go.

func measureCrowd(ctx context.Context, b *bench) ([]float64, string, error) {
	samples, err := b.benchmarked(ctx, "^BenchmarkCrowdReady$/^1x1000$", "s-to-ready")
	return samples, "from the Deployment until a watch has seen the last pod Ready", err
}

func measureCrowds(ctx context.Context, b *bench) ([]float64, string, error) {
	samples, err := b.benchmarked(ctx, "^BenchmarkCrowdReady$/^5x200$", "s-to-ready")
	return samples, "the same for five Deployments that are made at once", err
}

func measureCrowdMemory(ctx context.Context, b *bench) ([]float64, string, error) {
	samples, err := b.benchmarked(ctx, "^BenchmarkCrowdMemory$", "KB/pod")
	return samples, "heap and stacks at rest, when the store has let go of old versions, less one copy of the pods and events in memory", err
}

// measureCrowdChange compares the same change in the largest crowd and in the smallest, in turns.
func measureCrowdChange(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	sizes := []int{100, 1000, 5000}
	all := make([][]float64, len(sizes))
	for round := 1; round <= b.rounds; round++ {
		for n, pods := range sizes {
			ms, err := b.benchmark(ctx, fmt.Sprintf("^BenchmarkCrowdChange$/^%d$", pods), "cpu-ms/change")
			if err != nil {
				return nil, "", err
			}
			all[n] = append(all[n], ms)
			b.say(round, b.rounds, "%s ms with %d pods", number(ms), pods)
		}
	}
	note = fmt.Sprintf("processor time of the whole process for each pod whose container ends and is started again: %s ms with 100 pods, %s ms with 1,000, %s ms with 5,000",
		number(median(all[0])), number(median(all[1])), number(median(all[2])))
	return ratios(all[2], all[0]), note, nil
}

// benchmarked takes one sample for each round.
func (b *bench) benchmarked(ctx context.Context, name, unit string) (samples []float64, err error) {
	for round := 1; round <= b.rounds; round++ {
		value, err := b.benchmark(ctx, name, unit)
		if err != nil {
			return samples, err
		}
		samples = append(samples, value)
		b.say(round, b.rounds, "%s %s", number(value), unit)
	}
	return samples, nil
}

// benchmark runs one of package runtime's, and returns what it reports in a unit.
func (b *bench) benchmark(ctx context.Context, name, unit string) (float64, error) {
	if err := b.buildBenchmarks(ctx); err != nil {
		return 0, err
	}
	run := exec.CommandContext(ctx, b.benchmarks, "-test.run=^$", "-test.bench="+name, "-test.benchtime=1x")
	run.Dir = filepath.Join(b.repo, "runtime")
	out, err := run.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("benchmark %s: %w: %s", name, err, out)
	}
	value, err := reportedValue(out, unit)
	if err != nil {
		return 0, fmt.Errorf("benchmark %s: %w", name, err)
	}
	return value, nil
}

// buildBenchmarks does so once.
func (b *bench) buildBenchmarks(ctx context.Context) error {
	if b.benchmarks != "" {
		return nil
	}
	program := filepath.Join(b.repo, "bin", "runtime.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", program, "./runtime")
	build.Dir, build.Env = b.repo, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the benchmarks of package runtime: %w: %s", err, out)
	}
	b.benchmarks = program
	return nil
}

// reportedValue finds what a benchmark reported in a unit: https://golang.org/design/14313-benchmark-format
func reportedValue(output []byte, unit string) (float64, error) {
	for line := range bytes.Lines(output) {
		fields := strings.Fields(string(line))
		if at := slices.Index(fields, unit); at > 0 && strings.HasPrefix(fields[0], "Benchmark") {
			return strconv.ParseFloat(fields[at-1], 64)
		}
	}
	return 0, fmt.Errorf("no value in %s among %q", unit, output)
}
