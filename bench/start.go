package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// measureStart times `kube-lite start` on instances that were never there before.
func measureStart(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	for round := range b.rounds + 1 {
		seconds, err := b.startOnce(ctx)
		if err != nil {
			return samples, "", err
		}
		if round == 0 {
			continue // the first reads the binary from the disk, and loads the sandbox image
		}
		samples = append(samples, seconds)
		b.say(round, b.rounds, "%.2f s", seconds)
	}
	return samples, "wall time of `kube-lite start` on a new instance, after one that is not counted", nil
}

func (b *bench) startOnce(ctx context.Context) (seconds float64, err error) {
	i, err := b.newInstance()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, i.remove()) }()
	took, err := i.start(ctx)
	if err != nil {
		return 0, err
	}
	return took.Seconds(), i.nodeIsReady(ctx)
}

// nodeIsReady makes sure that start kept its word.
func (i *instance) nodeIsReady(ctx context.Context) error {
	nodes, err := i.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
	}
	return fmt.Errorf("start returned, and none of %d nodes is Ready", len(nodes.Items))
}
