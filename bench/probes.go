package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probedPods is the number of pods that are probed each second.
const probedPods = 100

func measureProbes(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		path, err := i.writeProbed(b)
		if err != nil {
			return err
		}
		if err := i.run(ctx, probedPods, path); err != nil {
			return err
		}
		if err := sleep(ctx, cpuSettle); err != nil {
			return err
		}
		for round := 1; round <= b.rounds; round++ {
			percent, _, err := cpuOver(ctx, i.status.PID, cpuWindow)
			if err != nil {
				return err
			}
			samples = append(samples, percent)
			b.say(round, b.rounds, "%.2f %%", percent)
		}
		return nil
	})
	return samples, fmt.Sprintf("user and system time over %v, the idle daemon's own included", cpuWindow), err
}

// writeProbed declares pods of one container that is asked by HTTP each second.
func (i *instance) writeProbed(b *bench) (path string, err error) {
	deployment, err := b.deployment(probedPods)
	if err != nil {
		return "", err
	}
	spec := &deployment.Spec.Template.Spec
	c := &spec.Containers[1]
	c.LivenessProbe = &corev1.Probe{
		PeriodSeconds: 1,
		// A busy machine may be slow to answer; what is measured is not how slow.
		TimeoutSeconds: 5,
		ProbeHandler:   corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(c.Ports[0].ContainerPort)}},
	}
	spec.Containers = spec.Containers[1:]
	return i.write(deployment)
}
