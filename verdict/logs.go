package verdict

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// mostLog is how many bytes of a container's log are kept, from its beginning.
const mostLog = int64(16 << 20)

// WriteLogs fills a folder:
//
//	pods/NAMESPACE/POD/CONTAINER.log  and CONTAINER.previous.log of its run before
//	objects/NAMESPACE/KIND-NAME.yaml  the objects that were applied, and the pods; without the values of Secrets
//	events.txt                        of all these namespaces, in order
//
// of the namespaces; none means all of the cluster. What cannot be read is in the error; the rest is written all the same.
func (r *Run) WriteLogs(ctx context.Context, dir string, namespaces ...string) error {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	keep := &keeper{Run: r, ctx: ctx, dir: dir}
	for _, o := range r.Objects {
		keep.object(o)
	}
	var events []corev1.Event
	for _, ns := range namespaces {
		keep.pods(ns)
		list, err := r.Client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			keep.failed("events", err)
			continue
		}
		events = append(events, list.Items...)
	}
	keep.write("events.txt", []byte(eventsText(events)))
	return errors.Join(keep.errs...)
}

// keeper writes the folder.
type keeper struct {
	*Run
	ctx  context.Context
	dir  string
	errs []error
}

func (k *keeper) failed(what string, err error) {
	k.errs = append(k.errs, fmt.Errorf("%s: %w", what, err))
}

func (k *keeper) write(name string, text []byte) {
	path := filepath.Join(k.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		k.errs = append(k.errs, err)
		return
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		k.errs = append(k.errs, err)
	}
}

func (k *keeper) object(o Object) {
	found, err := k.get(k.ctx, o)
	if err != nil {
		k.failed(o.String(), err)
		return
	}
	k.yaml(found)
}

// yaml writes an object without what nobody reads, and without secrets.
func (k *keeper) yaml(o *unstructured.Unstructured) {
	o.SetManagedFields(nil)
	if o.GroupVersionKind().GroupKind().String() == "Secret" {
		conceal(o)
	}
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		k.failed(o.GetKind()+" "+o.GetName(), err)
		return
	}
	place := o.GetNamespace()
	if place == "" {
		place = "cluster"
	}
	k.write(filepath.Join("objects", place, fileName(strings.ToLower(o.GetKind())+"-"+o.GetName())+".yaml"), text)
}

// lastApplied repeats what was applied, the values of a Secret too.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// conceal leaves the keys of a Secret and takes their values.
func conceal(o *unstructured.Unstructured) {
	for _, field := range []string{"data", "stringData"} {
		values, _, _ := unstructured.NestedMap(o.Object, field)
		for key := range values {
			values[key] = "(not kept)"
		}
		if values != nil {
			_ = unstructured.SetNestedMap(o.Object, values, field) // made of strings
		}
	}
	annotations := o.GetAnnotations()
	delete(annotations, lastApplied)
	o.SetAnnotations(annotations)
}

// fileName makes a name of an object one of a file: RBAC's may have a colon, and no name has a slash.
func fileName(s string) string { return strings.ReplaceAll(s, ":", "_") }

func (k *keeper) pods(namespace string) {
	list, err := k.Client.CoreV1().Pods(namespace).List(k.ctx, metav1.ListOptions{})
	if err != nil {
		k.failed("pods", err)
		return
	}
	for _, p := range list.Items {
		k.podObject(&p)
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
			if s.ContainerID != "" || s.State.Running != nil || s.State.Terminated != nil {
				k.log(&p, s.Name, false)
			}
			if s.LastTerminationState.Terminated != nil {
				k.log(&p, s.Name, true)
			}
		}
	}
}

func (k *keeper) podObject(p *corev1.Pod) {
	p.APIVersion, p.Kind, p.ManagedFields = "v1", "Pod", nil
	text, err := yaml.Marshal(p)
	if err != nil {
		k.failed("pod "+p.Name, err)
		return
	}
	k.write(filepath.Join("objects", p.Namespace, "pod-"+p.Name+".yaml"), text)
}

func (k *keeper) log(p *corev1.Pod, container string, previous bool) {
	limit := mostLog
	opts := &corev1.PodLogOptions{Container: container, Previous: previous, Timestamps: true, LimitBytes: &limit}
	name := container + ".log"
	if previous {
		name = container + ".previous.log"
	}
	text, err := k.readLog(p, opts)
	if err != nil {
		k.failed("log of container "+container+" of pod "+p.Name, err)
		return
	}
	k.write(filepath.Join("pods", p.Namespace, p.Name, name), text)
}

func (k *keeper) readLog(p *corev1.Pod, opts *corev1.PodLogOptions) ([]byte, error) {
	stream, err := k.Client.CoreV1().Pods(p.Namespace).GetLogs(p.Name, opts).Stream(k.ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return io.ReadAll(stream)
}

// eventsText is a line for each event, in the order of their times.
func eventsText(events []corev1.Event) string {
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	var b strings.Builder
	for _, e := range events {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		fmt.Fprintf(&b, "%s %-7s %s %s/%s: %s%s\n", eventTime(e).UTC().Format(time.RFC3339), e.Type, e.Reason,
			strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, strings.ReplaceAll(strings.TrimSpace(e.Message), "\n", " "), times)
	}
	return b.String()
}

func eventTime(e corev1.Event) time.Time {
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time, e.FirstTimestamp.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return e.CreationTimestamp.Time
}
