package why

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

// Options say how the commands of an answer are to be written.
type Options struct {
	Program   string // what the user calls, with the flags that go before a verb: "kube-lite --name green"
	Flags     string // that lead to the cluster and go behind a verb: "--context prod"
	Namespace string // which commands work in that name none
	Now       func() time.Time
	// Node asks the node's HTTP API for a path; nil means through the API server.
	Node func(ctx context.Context, node, path string) ([]byte, error)
}

// Explainer explains objects of one cluster.
type Explainer struct {
	client  kubernetes.Interface
	dynamic dynamic.Interface
	opts    Options
}

// New makes an Explainer.
func New(client kubernetes.Interface, dynamic dynamic.Interface, opts Options) *Explainer {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Node == nil {
		opts.Node = func(ctx context.Context, node, path string) ([]byte, error) {
			return client.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix(path).DoRaw(ctx)
		}
	}
	return &Explainer{client, dynamic, opts}
}

// look is one answer in the making. What it reads more than once it keeps.
type look struct {
	*Explainer
	ctx    context.Context
	unread []string
	kept   map[string]any
}

func (e *Explainer) look(ctx context.Context) *look {
	return &look{Explainer: e, ctx: ctx, kept: map[string]any{}}
}

// failed notes what could not be read.
func (l *look) failed(what string, err error) {
	if line := fmt.Sprintf("%s: %v", what, err); !slices.Contains(l.unread, line) {
		l.unread = append(l.unread, line)
	}
}

// lister is the part of a typed client that lists.
type lister[L any] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
}

// listOf reads all objects of a kind, once. What the API refuses is noted and counts as none; ok is false then.
func listOf[L runtime.Object](l *look, what, namespace string, from lister[L]) (out L, ok bool) {
	key := what + " " + namespace
	if kept, ok := l.kept[key].(L); ok {
		return kept, true
	}
	out, err := from.List(l.ctx, metav1.ListOptions{})
	if err != nil {
		l.failed(strings.TrimSpace("list "+what+" "+in(namespace)), err)
		var none L
		return none, false
	}
	l.kept[key] = out
	return out, true
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return "in namespace " + namespace
}

// getter is the part of a typed client that gets.
type getter[O any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (O, error)
}

// presence is what is known of whether an object exists.
type presence int

const (
	unreadable presence = iota
	missing
	present
)

// get reads one object.
func get[O any](l *look, kind, name string, from getter[O]) (O, presence) {
	out, err := from.Get(l.ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return out, missing
	case err != nil:
		l.failed("get "+kind+" "+name, err)
		return out, unreadable
	}
	return out, present
}

func (l *look) pods(namespace string) []v1.Pod {
	if found, ok := listOf(l, "pods", namespace, l.client.CoreV1().Pods(namespace)); ok {
		return found.Items
	}
	return nil
}

func (l *look) nodes() []v1.Node {
	if found, ok := listOf(l, "nodes", "", l.client.CoreV1().Nodes()); ok {
		return found.Items
	}
	return nil
}

// podsOf are those that an object controls, oldest first.
func (l *look) podsOf(namespace string, uid types.UID) (out []*v1.Pod) {
	all := l.pods(namespace)
	for n := range all {
		if owner := metav1.GetControllerOf(&all[n]); owner != nil && owner.UID == uid {
			out = append(out, &all[n])
		}
	}
	slices.SortFunc(out, func(a, b *v1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// events are those about an object with one of the reasons (none: all), newest first.
func (l *look) events(namespace string, uid types.UID, reasons ...string) (out []v1.Event) {
	found, ok := listOf(l, "events", namespace, l.client.CoreV1().Events(namespace))
	if !ok {
		return nil
	}
	for _, e := range found.Items {
		if e.InvolvedObject.UID == uid && (len(reasons) == 0 || slices.Contains(reasons, e.Reason)) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b v1.Event) int { return eventTime(b).Compare(eventTime(a)) })
	return out
}

// eventTime is when an event was last seen, in whichever of its fields.
func eventTime(e v1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time, e.FirstTimestamp.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return e.CreationTimestamp.Time
}

// eventLine is an event as evidence.
func (l *look) eventLine(e v1.Event) string {
	times := max(e.Count, 1)
	if e.Series != nil {
		times = e.Series.Count
	}
	text := fmt.Sprintf("event %s, %s ago", e.Reason, l.since(eventTime(e)))
	if times > 1 {
		text += fmt.Sprintf(", %d times", times)
	}
	return text + ": " + strings.TrimSpace(e.Message)
}

// eventLines are the newest events as evidence.
func (l *look) eventLines(most int, events []v1.Event) (out []string) {
	for _, e := range events[:min(most, len(events))] {
		out = append(out, l.eventLine(e))
	}
	return out
}

// command writes a command about an object in a namespace ("" is of the cluster).
func (l *look) command(namespace, format string, args ...any) string {
	text := l.opts.Program + " " + fmt.Sprintf(format, args...)
	if namespace != "" && namespace != l.opts.Namespace {
		text += " -n " + namespace
	}
	if l.opts.Flags != "" {
		text += " " + l.opts.Flags
	}
	return text
}

// note puts a word behind a command, so that the line can be typed as it is.
func note(command, text string) string {
	for _, lead := range []string{", ", "and "} {
		text = strings.TrimPrefix(text, lead)
	}
	return command + "  # " + text
}

// named lists the names of objects.
func named[O any](objects []O, name func(*O) string) (out []string) {
	for n := range objects {
		out = append(out, name(&objects[n]))
	}
	return out
}
