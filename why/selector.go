package why

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// labelled is what has or makes pods with certain labels.
type labelled struct {
	whose  string // "the pods of Deployment web"
	labels map[string]string
	follow func() links // nil for pods that exist
}

// matchesNone explains a Service whose selector matches no pod, by what is nearly so.
func (l *look) matchesNone(s *v1.Service) links {
	at, selector := serviceObject(s), s.Spec.Selector
	text := labelText(selector)
	workloads := l.templates(s.Namespace)
	for _, w := range workloads {
		if !labels.SelectorFromSet(selector).Matches(labels.Set(w.labels)) {
			continue
		}
		first := waiting(at, "its selector %s matches no pod: it means %s, and there are none", text, w.whose)
		found := w.follow()
		if found.well() && len(found) > 0 {
			last := found[len(found)-1]
			last.State = Broken
			return append(append(links{first}, found[:len(found)-1]...), last)
		}
		return append(links{first}, found...)
	}
	all := l.pods(s.Namespace)
	for n := range all {
		p := &all[n]
		whose := "pod " + p.Name
		if ref := metav1.GetControllerOf(p); ref != nil {
			continue // its template is among the workloads
		}
		workloads = append(workloads, labelled{whose: whose, labels: p.Labels})
	}
	near, differences := nearestLabels(selector, workloads)
	if near == nil {
		var have []string
		for _, w := range workloads {
			have = append(have, fmt.Sprintf("%s: %s", w.whose, orElse(labelText(w.labels), "no labels")))
		}
		return links{broken(at, "its selector %s matches no pod, and no pod of its namespace has labels that are nearly so", text).seen(have[:min(mostNames, len(have))]...).
			mended(l.command(s.Namespace, "set selector service %s KEY=VALUE", s.Name))}
	}
	right := map[string]string{}
	for key, value := range selector {
		right[key] = value
		if has, ok := near.labels[key]; ok {
			right[key] = has
		}
	}
	out := broken(at, "its selector %s matches no pod: %s %s", text, near.whose, strings.Join(differences, " and ")).
		seen(fmt.Sprintf("labels of %s: %s", near.whose, labelText(near.labels)))
	if labels.SelectorFromSet(right).Matches(labels.Set(near.labels)) {
		return links{out.mended(l.command(s.Namespace, "set selector service %s %s", s.Name, labelText(right)))}
	}
	return links{out.mended(note(l.command(s.Namespace, "edit service %s", s.Name), "and correct spec.selector"))}
}

// nearestLabels is what differs least from a selector, and where. nil if nothing has even a similar label.
func nearestLabels(selector map[string]string, all []labelled) (best *labelled, differences []string) {
	most := 0
	for n := range all {
		points, found := 0, []string(nil)
		for _, key := range slices.Sorted(maps.Keys(selector)) {
			want := selector[key]
			has, ok := all[n].labels[key]
			switch {
			case ok && has == want:
				points += 3
				continue
			case ok:
				if nearest(want, []string{has}) != "" {
					points += 2
				}
				points++
				found = append(found, fmt.Sprintf("have %s=%s", key, has))
			default:
				text := "have no label " + key
				if other := keyOf(all[n].labels, want); other != "" {
					points += 2
					text += ", but " + other + "=" + want
				}
				found = append(found, text)
			}
		}
		if strings.HasPrefix(all[n].whose, "pod ") {
			for i := range found {
				found[i] = strings.Replace(found[i], "have", "has", 1)
			}
		}
		if points > most {
			best, differences, most = &all[n], found, points
		}
	}
	return best, differences
}

func keyOf(labels map[string]string, value string) string {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if labels[key] == value {
			return key
		}
	}
	return ""
}

// templates are the labels of pods that the workloads of a namespace make.
func (l *look) templates(namespace string) (out []labelled) {
	apps := l.client.AppsV1()
	add := func(kind, name string, template v1.PodTemplateSpec, follow func() links) {
		out = append(out, labelled{whose: fmt.Sprintf("the pods of %s %s", kind, name), labels: template.Labels, follow: follow})
	}
	if all, ok := listOf(l, "deployments", namespace, apps.Deployments(namespace)); ok {
		for n := range all.Items {
			d := &all.Items[n]
			add("Deployment", d.Name, d.Spec.Template, func() links { return l.deployment(d) })
		}
	}
	if all, ok := listOf(l, "statefulsets", namespace, apps.StatefulSets(namespace)); ok {
		for n := range all.Items {
			s := &all.Items[n]
			add("StatefulSet", s.Name, s.Spec.Template, func() links { return l.statefulSet(s) })
		}
	}
	if all, ok := listOf(l, "daemonsets", namespace, apps.DaemonSets(namespace)); ok {
		for n := range all.Items {
			d := &all.Items[n]
			add("DaemonSet", d.Name, d.Spec.Template, func() links { return l.daemonSet(d) })
		}
	}
	return out
}
