package main

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// configName is the ConfigMap of the pods that mount one.
const configName = "bench"

// measureRichPods starts pods as people declare them: an init container, a ConfigMap mounted into all, and probes with
// the default periods. Docker alone runs the same containers in the same order, with a directory of the host mounted in
// the ConfigMap's place, and asks nothing.
func measureRichPods(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	return b.racePods(ctx, enrich)
}

func enrich(d *appsv1.Deployment) {
	spec := &d.Spec.Template.Spec
	spec.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: configName}},
	}}}
	mounts := []corev1.VolumeMount{{Name: "config", MountPath: "/config"}}
	for n := range spec.Containers {
		c := &spec.Containers[n]
		port := intstr.FromInt32(c.Ports[0].ContainerPort)
		c.VolumeMounts = mounts
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}}
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}}
	}
	spec.InitContainers = []corev1.Container{{
		Name: "init", Image: toolImage, ImagePullPolicy: corev1.PullNever, Command: []string{"/tool", "print", "ready"}, VolumeMounts: mounts,
	}}
}

// toolImage is made by scripts/images.
const toolImage = "kube-lite-test/tool"

// makeConfig makes the ConfigMap that a Deployment's pods mount, if they do.
func (i *instance) makeConfig(ctx context.Context, d *appsv1.Deployment) error {
	if len(d.Spec.Template.Spec.Volumes) == 0 {
		return nil
	}
	_, err := i.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: configName}, Data: map[string]string{"greeting": "hello"},
	}, metav1.CreateOptions{})
	return err
}
