package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"
)

// The quick start's manifests.
const (
	deploymentFile = "testdata/simple-deployment.yaml"
	serviceFile    = "testdata/simple-nodeport-service.yaml"
)

// namespace is where everything is made.
const namespace = "default"

// deployment is the quick start's with another number of pods, and without probes: Docker
// alone asks nothing either. What they cost is told by the figure of rich pods.
func (b *bench) deployment(replicas int32) (*appsv1.Deployment, error) {
	text, err := os.ReadFile(filepath.Join(b.repo, deploymentFile))
	if err != nil {
		return nil, err
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(text, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", deploymentFile, err)
	}
	d.Spec.Replicas = &replicas
	for n := range d.Spec.Template.Spec.Containers {
		d.Spec.Template.Spec.Containers[n].ReadinessProbe = nil
	}
	return &d, nil
}

// write puts the manifest of d where kube-lite apply can read it.
func (i *instance) write(d *appsv1.Deployment) (path string, err error) {
	text, err := yaml.Marshal(d)
	if err != nil {
		return "", err
	}
	path = filepath.Join(i.scratch, "deployment.yaml")
	return path, os.WriteFile(path, text, 0o644)
}

// podWatch counts the pods that are Ready, from now on.
type podWatch struct {
	watch watch.Interface
	ready map[string]bool
}

// watchPods expects that there are no pods yet.
func (i *instance) watchPods(ctx context.Context) (*podWatch, error) {
	w, err := i.client.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return &podWatch{w, map[string]bool{}}, nil
}

// await returns when n pods are Ready.
func (w *podWatch) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for len(w.ready) < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pods are Ready: %w", len(w.ready), n, ctx.Err())
		case event, open := <-w.watch.ResultChan():
			if !open {
				return errors.New("the watch of pods ended")
			}
			w.note(event)
		}
	}
	return nil
}

// awaitDeleted returns when n pods were seen to go.
func (w *podWatch) awaitDeleted(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for gone := 0; gone < n; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pods are gone: %w", gone, n, ctx.Err())
		case event, open := <-w.watch.ResultChan():
			if !open {
				return errors.New("the watch of pods ended")
			}
			if event.Type == watch.Deleted {
				gone++
			}
		}
	}
	return nil
}

func (w *podWatch) note(event watch.Event) {
	pod, ok := event.Object.(*corev1.Pod)
	if !ok {
		return
	}
	if event.Type != watch.Deleted && isReady(pod) {
		w.ready[pod.Name] = true
	} else {
		delete(w.ready, pod.Name)
	}
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// run applies files and waits until n pods are Ready.
func (i *instance) run(ctx context.Context, n int, files ...string) error {
	w, err := i.watchPods(ctx)
	if err != nil {
		return err
	}
	defer w.watch.Stop()
	for _, f := range files {
		if _, err := i.do(ctx, "apply", "-f", f); err != nil {
			return err
		}
	}
	return w.await(ctx, n)
}
