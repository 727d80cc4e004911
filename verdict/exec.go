package verdict

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// tryJob applies the Job when its turn has come for the first time, and looks at it.
func (r *Run) tryJob(ctx context.Context, a *attempt, apply Applier) {
	if a.job == nil {
		job, err := apply(ctx, a.Check)
		if err != nil {
			a.done, a.Failed, a.Text = true, true, err.Error()
			return
		}
		a.job, a.Namespace = &entry{Object: job}, job.Namespace
	}
	if o, err := r.get(ctx, a.job.Object); err == nil {
		a.job.finding = judge(o, neighbours{})
	} else if ctx.Err() == nil {
		a.job.finding = waits("cannot be read: %v", err)
	}
	a.Text = a.job.Text
	switch a.job.State {
	case Ready:
		a.done = true
	case Failed:
		r.giveUp(ctx, a)
	}
}

// tryCommand runs the command in the first pod that is ready, if there is one. A command that fails is not run again: it may
// have done half of what it does.
func (r *Run) tryCommand(ctx context.Context, a *attempt) {
	pod, err := r.podFor(ctx, a.Exec)
	if err != nil {
		a.Text = err.Error()
		return
	}
	a.done = true
	a.Namespace = pod.Namespace
	a.Text, a.Detail, err = r.command(ctx, a.Check, pod)
	if err != nil {
		a.Failed, a.Text = true, err.Error()
	}
}

// podFor finds a ready pod of an object such as deploy/web.
func (r *Run) podFor(ctx context.Context, object string) (*corev1.Pod, error) {
	kind, name, _ := strings.Cut(object, "/")
	ns := r.Namespace
	var selector *metav1.LabelSelector
	switch strings.ToLower(kind) {
	case "pod", "pods", "po":
		p, err := r.Client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return readyOf([]corev1.Pod{*p}, object)
	case "deploy", "deployment", "deployments":
		d, err := r.Client.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		selector = d.Spec.Selector
	case "sts", "statefulset", "statefulsets":
		s, err := r.Client.AppsV1().StatefulSets(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		selector = s.Spec.Selector
	case "ds", "daemonset", "daemonsets":
		s, err := r.Client.AppsV1().DaemonSets(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		selector = s.Spec.Selector
	default:
		return nil, fmt.Errorf("%s: a command runs in a pod, deployment, statefulset or daemonset", object)
	}
	pods, err := r.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)})
	if err != nil {
		return nil, err
	}
	return readyOf(pods.Items, object)
}

func readyOf(pods []corev1.Pod, object string) (*corev1.Pod, error) {
	for n := range pods {
		p := &pods[n]
		if p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s has no pod that is ready", object)
}

// command runs it. Its output is what a failure shows.
func (r *Run) command(ctx context.Context, c *Check, pod *corev1.Pod) (text, output string, err error) {
	at := r.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: c.Container, Command: c.Command, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	executor, err := r.executor(at)
	if err != nil {
		return "", "", err
	}
	var kept limited
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &kept, Stderr: &kept})
	var exit utilexec.CodeExitError
	switch {
	case errors.As(err, &exit):
		err = fmt.Errorf("exit code %d, in pod %s", exit.Code, pod.Name)
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("had not ended when the time was over, in pod %s", pod.Name)
	}
	return "exit code 0, in pod " + pod.Name, kept.text(), err
}

// executor speaks WebSocket, and SPDY with servers that do not.
func (r *Run) executor(at *url.URL) (remotecommand.Executor, error) {
	fallback, err := remotecommand.NewSPDYExecutor(r.REST, http.MethodPost, at)
	if err != nil {
		return nil, err
	}
	socket, err := remotecommand.NewWebSocketExecutor(r.REST, http.MethodGet, at.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, fallback, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}
