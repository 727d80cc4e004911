package why

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// namespace explains a namespace that was deleted and is still there: by its conditions, and by what is left in it.
func (l *look) namespace(n *v1.Namespace) links {
	at := Object{Kind: "Namespace", Name: n.Name}
	if n.DeletionTimestamp == nil {
		return links{well(at, "is there, and nobody has deleted it")}
	}
	first := waiting(at, "was deleted %s ago, and goes when all that was in it is gone", l.since(n.DeletionTimestamp.Time))
	var evidence []string
	for _, c := range n.Status.Conditions {
		if c.Status == v1.ConditionTrue {
			evidence = append(evidence, fmt.Sprintf("condition %s: %s", c.Type, c.Message))
			if c.Type == v1.NamespaceDeletionDiscoveryFailure || c.Type == v1.NamespaceDeletionContentFailure {
				return links{broken(at, "was deleted %s ago, and what is in it cannot be removed: %s", l.since(n.DeletionTimestamp.Time), firstLine(c.Message)).
					mended(note(l.command("", "get apiservices"), "and remove or repair those that are not available"))}
			}
		}
	}
	for _, kind := range l.kinds() {
		found, err := l.dynamic.Resource(kind).Namespace(n.Name).List(l.ctx, listAll)
		if err != nil {
			continue // its conditions tell of those that cannot be listed
		}
		for i := range found.Items {
			if o := &found.Items[i]; o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) > 0 {
				return append(links{first.seen(evidence...)}, l.leftover(o, kind)...)
			}
		}
	}
	if len(n.Spec.Finalizers) > 0 && len(evidence) == 0 {
		evidence = append(evidence, fmt.Sprintf("spec.finalizers: %v", n.Spec.Finalizers))
	}
	return links{first.seen(evidence...)}
}

// leftover explains what keeps its namespace.
func (l *look) leftover(o *unstructured.Unstructured, kind schema.GroupVersionResource) links {
	if o.GetKind() == "Pod" {
		if pod, found := get(l, "pod", o.GetName(), l.client.CoreV1().Pods(o.GetNamespace())); found == present {
			return l.terminating(pod)
		}
	}
	out := l.ending(Object{o.GetKind(), o.GetNamespace(), o.GetName()}, o)
	out.Mend = strings.Replace(out.Mend, "patch "+resourceOf(o.GetKind())+"/", "patch "+kind.GroupResource().String()+"/", 1)
	return links{out}
}

// kinds are those that a namespace can have objects of.
func (l *look) kinds() (out []schema.GroupVersionResource) {
	lists, err := discovery.ServerPreferredResources(l.client.Discovery())
	if err != nil && len(lists) == 0 {
		l.failed("list the kinds of the API", err)
		return nil
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists)
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if r.Namespaced && !slices.Contains([]string{"events", "endpoints"}, r.Name) {
				out = append(out, gv.WithResource(r.Name))
			}
		}
	}
	return out
}
