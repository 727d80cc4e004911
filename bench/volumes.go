package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

const (
	// followed names the pod, its container and its sources.
	followed = "followed"
	// updatesPerRound are of each kind of volume.
	updatesPerRound = 10
	// updatePause keeps updates apart: each is measured alone.
	updatePause = 200 * time.Millisecond
	// lookInterval is how often a file is read: fine beside the budget.
	lookInterval = time.Millisecond
)

// followedVolumes are the volumes by the name of the source whose update they are to follow.
func followedVolumes() map[string]corev1.VolumeSource {
	source := corev1.LocalObjectReference{Name: followed}
	return map[string]corev1.VolumeSource{
		"configmaps": {ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: source}},
		"secrets":    {Secret: &corev1.SecretVolumeSource{SecretName: followed}},
		"pods": {DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "value", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['value']"}},
		}}},
	}
}

// measureVolumes changes what volumes show, and looks at their files where the container does.
func measureVolumes(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		root, err := i.runFollower(ctx)
		if err != nil {
			return err
		}
		for round := 1; round <= b.rounds; round++ {
			first := len(samples)
			for update := range updatesPerRound {
				for kind := range followedVolumes() {
					took, err := i.follow(ctx, root, kind, strconv.Itoa(round*updatesPerRound+update))
					if err != nil {
						return err
					}
					samples = append(samples, float64(took)/float64(time.Millisecond))
				}
			}
			b.say(round, b.rounds, "%d updates, median %.1f ms", len(samples)-first, median(samples[first:]))
		}
		return nil
	})
	return samples, "from the request until the container sees the file of a ConfigMap, Secret or downward API volume", err
}

// runFollower starts a pod with each of the volumes at /volumes, and returns its root directory as seen from here.
func (i *instance) runFollower(ctx context.Context) (root string, err error) {
	meta := metav1.ObjectMeta{Name: followed}
	core := i.client.CoreV1()
	if _, err := core.ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if _, err := core.Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	pod := &corev1.Pod{ObjectMeta: meta}
	c := corev1.Container{Name: followed, Image: "kube-lite-test/tool:latest", ImagePullPolicy: corev1.PullNever}
	for name, source := range followedVolumes() {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: "/volumes/" + name})
	}
	pod.Spec.Containers = []corev1.Container{c}
	watch, err := i.watchPods(ctx)
	if err != nil {
		return "", err
	}
	defer watch.watch.Stop()
	if _, err := core.Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := watch.await(ctx, 1); err != nil {
		return "", err
	}
	return i.rootOf(ctx, followed)
}

// rootOf is the root directory of a container that runs, through its process: what is mounted there is seen.
func (i *instance) rootOf(ctx context.Context, container string) (string, error) {
	engine, err := docker.Connect(ctx, "", nil)
	if err != nil {
		return "", err
	}
	defer engine.Close()
	labels := docker.InstanceLabel(i.name)
	labels["io.kubernetes.container.name"] = container
	list, err := engine.List(ctx, labels)
	if err != nil || len(list) != 1 {
		return "", fmt.Errorf("container %s: Docker has %d: %w", container, len(list), err)
	}
	c, err := engine.Inspect(ctx, list[0].ID)
	return filepath.Join("/proc", strconv.Itoa(c.PID), "root"), err
}

// follow updates one source and waits for its file.
func (i *instance) follow(ctx context.Context, root, kind, value string) (time.Duration, error) {
	if err := sleep(ctx, updatePause); err != nil {
		return 0, err
	}
	change := map[string]any{"data": map[string][]byte{"value": []byte(value)}} // JSON makes it base64, as Secrets have it
	switch kind {
	case "configmaps":
		change = map[string]any{"data": map[string]string{"value": value}}
	case "pods":
		change = map[string]any{"metadata": map[string]any{"annotations": map[string]string{"value": value}}}
	}
	patch, err := json.Marshal(change)
	if err != nil {
		return 0, err
	}
	request := i.client.CoreV1().RESTClient().Patch(types.MergePatchType).Namespace(namespace).Resource(kind).Name(followed)
	began, path := time.Now(), filepath.Join(root, "volumes", kind, "value")
	if err := request.Body(patch).Do(ctx).Error(); err != nil {
		return 0, err
	}
	err = wait.PollUntilContextTimeout(ctx, lookInterval, patience, true, func(context.Context) (bool, error) {
		content, err := os.ReadFile(path)
		return err == nil && bytes.Equal(content, []byte(value)), nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s never has %s: %w", path, value, err)
	}
	return time.Since(began), nil
}
