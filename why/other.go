package why

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// objects reads a kind that has no typed client.
func (l *look) objects(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return l.dynamic.Resource(resource)
	}
	return l.dynamic.Resource(resource).Namespace(namespace)
}

// objectGetter makes a getter of what takes subresources too.
type objectGetter struct{ from dynamic.ResourceInterface }

func (g objectGetter) Get(ctx context.Context, name string, opts metav1.GetOptions) (*unstructured.Unstructured, error) {
	return g.from.Get(ctx, name, opts)
}

// other explains an object of a kind that has no step of its own by what such objects have in common: an end under way,
// conditions, events.
func (l *look) other(o *unstructured.Unstructured) links {
	at := Object{o.GetKind(), o.GetNamespace(), o.GetName()}
	if o.GetDeletionTimestamp() != nil {
		return links{l.ending(at, o)}
	}
	conditions := conditionsOf(o, "status", "conditions")
	for _, c := range conditions {
		if c.Status != metav1.ConditionTrue && goodCondition(c.Type) {
			return links{broken(at, "its condition %s is %s%s", c.Type, c.Status, saying(c)).seen(l.warnings(o)...)}
		}
		if c.Status == metav1.ConditionTrue && badCondition(c.Type) {
			return links{broken(at, "its condition %s holds%s", c.Type, saying(c)).seen(l.warnings(o)...)}
		}
	}
	if len(conditions) == 0 {
		return links{well(at, "exists; its status has no conditions that would say more").seen(l.warnings(o)...)}
	}
	var holding []string
	for _, c := range conditions {
		holding = append(holding, c.Type+" is "+string(c.Status))
	}
	return links{well(at, "is well by its conditions: %s", strings.Join(holding, ", ")).seen(l.warnings(o)...)}
}

// The conditions that kinds of many authors share. Others are not judged: False may be what is good.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
func goodCondition(kind string) bool {
	return slices.Contains([]string{"Ready", "Available", "Established", "Accepted", "Programmed", "Succeeded", "Healthy", "Synced", "NamesAccepted"}, kind)
}

func badCondition(kind string) bool {
	return slices.Contains([]string{"Failed", "Degraded", "Stalled", "Terminating", "NonStructuralSchema"}, kind)
}

// saying is what a condition adds: ", SyncFailed: no such host".
func saying(c metav1.Condition) string {
	text := ""
	if c.Reason != "" {
		text = ", " + c.Reason
	}
	if c.Message != "" {
		text += ": " + firstLine(c.Message)
	}
	return text
}

// conditionsOf reads the conditions at a path of an object.
func conditionsOf(o *unstructured.Unstructured, path ...string) (out []metav1.Condition) {
	items, _, _ := unstructured.NestedSlice(o.Object, path...) // what is malformed says nothing
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, conditionOf(m))
		}
	}
	return out
}

func conditionOf(m map[string]any) metav1.Condition {
	text := func(key string) string { s, _ := m[key].(string); return s }
	return metav1.Condition{
		Type: text("type"), Status: metav1.ConditionStatus(text("status")), Reason: text("reason"), Message: text("message"),
	}
}

// warnings are the newest Warning events about an object, as evidence.
func (l *look) warnings(o metav1.Object) []string {
	all := l.events(o.GetNamespace(), o.GetUID())
	kept := all[:0]
	for _, e := range all {
		if e.Type == "Warning" {
			kept = append(kept, e)
		}
	}
	return l.eventLines(2, kept)
}

// ending explains an object that is deleted and still there.
func (l *look) ending(at Object, o metav1.Object) Link {
	ago := l.since(o.GetDeletionTimestamp().Time)
	finalizers := o.GetFinalizers()
	if len(finalizers) == 0 {
		return waiting(at, "was deleted %s ago and is about to go", ago)
	}
	return broken(at, "was deleted %s ago and stays until the finalizer %s is taken off by whoever put it there", ago, list(finalizers)).
		seen(fmt.Sprintf("metadata.finalizers: %s", list(finalizers))).
		mended(note(l.command(at.Namespace, `patch %s/%s --type=merge -p '{"metadata":{"finalizers":null}}'`, resourceOf(at.Kind), at.Name), "if nobody is left who would; what it protects is lost then"))
}

// resourceOf is how a kind is written on a command line.
func resourceOf(kind string) string { return strings.ToLower(kind) }

// listAll lists all objects.
var listAll = metav1.ListOptions{}

// joinAnd is "a and b".
func joinAnd(parts []string) string { return strings.Join(parts, " and ") }
