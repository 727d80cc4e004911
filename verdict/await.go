package verdict

import (
	"context"
	"fmt"
	"strings"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kube-lite/kube-lite/why"
)

const (
	// lookNear and lookFar are how often objects are looked at, on an instance of the run's own and elsewhere.
	lookNear = 200 * time.Millisecond
	lookFar  = time.Second
	// explainEvery is how often it is asked why an object is not as declared: that reads much more.
	explainEvery = 2 * time.Second
	// explainLimit bounds the explanations at the end.
	explainLimit = 20 * time.Second
)

// Run is one run over the objects that it applied.
type Run struct {
	*Cluster
	Objects []Object
	Report  *Report

	seen map[string]time.Time // when a container was seen running first
}

// entry is one object on its way.
type entry struct {
	Object
	finding
	seen  *unstructured.Unstructured // nil: not there
	since time.Time
	took  time.Duration
	why   explained
}

// Await waits until every object is as declared, at the same time. It ends early when one of them never will be, and at
// the latest with the context. The results are in the order of the objects; passed tells whether all are as declared.
func (r *Run) Await(ctx context.Context) (results []Result, passed bool) {
	entries := make([]*entry, len(r.Objects))
	for n, o := range r.Objects {
		entries[n] = &entry{Object: o, since: time.Now()}
		r.Report.set(entries[n].item())
	}
	reason := r.await(ctx, entries)
	for _, e := range entries {
		results = append(results, r.result(ctx, e, reason))
	}
	return results, reason == ""
}

// await returns why it does not wait any more; "" means that all is well.
func (r *Run) await(ctx context.Context, entries []*entry) string {
	for asked := time.Now(); ; {
		left := 0
		for _, e := range entries {
			if e.State != Ready {
				r.look(ctx, e, entries)
			}
			if e.State == Failed {
				return fmt.Sprintf("%s %s", e.Object, e.Text)
			}
			if e.State != Ready {
				left++
			}
		}
		if left == 0 && r.stillReady(ctx, entries) {
			return ""
		}
		if ctx.Err() == nil && time.Since(asked) > explainEvery {
			asked = time.Now()
			if e := r.hopeless(ctx, entries); e != nil {
				return fmt.Sprintf("%s cannot become ready", e.Object)
			}
		}
		r.Report.tick()
		if !pause(ctx, r.interval()) {
			return "the time is over"
		}
	}
}

func (r *Run) interval() time.Duration {
	if r.Near {
		return lookNear
	}
	return lookFar
}

// stillReady looks at all of them once more: what was ready may have ended meanwhile.
func (r *Run) stillReady(ctx context.Context, entries []*entry) bool {
	all := true
	for _, e := range entries {
		r.look(ctx, e, entries)
		all = all && e.State == Ready
	}
	return all
}

// look judges an object as it is now.
func (r *Run) look(ctx context.Context, e *entry, entries []*entry) {
	before := e.finding
	o, err := r.get(ctx, e.Object)
	switch {
	case ctx.Err() != nil:
		return // what was found last is what counts
	case apierrors.IsNotFound(err):
		e.seen, e.finding = nil, waits("is not there any more")
	case err != nil:
		e.finding = waits("cannot be read: %v", err)
	default:
		e.seen = o
		if by, err := r.neighbours(ctx, o, entries); err != nil {
			e.finding = waits("cannot be judged: %v", err)
		} else {
			e.finding = judge(o, by)
		}
	}
	if e.State == Ready && e.seen != nil {
		if unsteady, ok := r.steady(ctx, e.seen); !ok {
			e.finding = unsteady
		}
	}
	if e.finding != before {
		e.took = time.Since(e.since)
		r.Report.set(e.item())
	}
}

func (e *entry) item() item {
	return item{name: e.String(), namespace: e.Namespace, state: e.State, text: e.Text, took: e.took}
}

// neighbours reads what the judgement of an object needs beside it.
func (r *Run) neighbours(ctx context.Context, o *unstructured.Unstructured, entries []*entry) (by neighbours, err error) {
	switch o.GroupVersionKind().GroupKind().String() {
	case "Service":
		by.slices, err = r.slicesOf(ctx, o.GetNamespace(), o.GetName())
		by.idle = idle(entries, o.GetNamespace())
		return by, err
	case "PersistentVolumeClaim":
		list, err := r.Client.CoreV1().Pods(o.GetNamespace()).List(ctx, metav1.ListOptions{})
		if err != nil {
			return by, fmt.Errorf("list pods: %w", err)
		}
		by.pods, by.first = list.Items, r.waitsForPod(ctx, o)
	}
	return by, nil
}

// idle are the pods' labels of those workloads among the objects that are declared to have no pods.
func idle(entries []*entry, namespace string) (all []labels.Set) {
	for _, e := range entries {
		if e.seen == nil || e.Namespace != namespace {
			continue
		}
		if n, found, err := unstructured.NestedInt64(e.seen.Object, "spec", "replicas"); err == nil && found && n == 0 {
			of, _, _ := unstructured.NestedStringMap(e.seen.Object, "spec", "template", "metadata", "labels")
			all = append(all, of)
		}
	}
	return all
}

// waitsForPod tells whether the class of a claim has its volume made for the first pod. One whose class cannot be read has
// it made at once, as classes do that say nothing.
func (r *Run) waitsForPod(ctx context.Context, claim *unstructured.Unstructured) bool {
	name, found, _ := unstructured.NestedString(claim.Object, "spec", "storageClassName")
	if !found || name == "" {
		return false
	}
	class, err := r.Client.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	return err == nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// hopeless asks why of those that are not ready, and returns one that will never be.
func (r *Run) hopeless(ctx context.Context, entries []*entry) *entry {
	var late []*entry
	var all []explained
	for _, e := range entries {
		if e.State == Ready {
			continue
		}
		now := explained{kind: e.Kind(), since: time.Now()}
		if chain, err := r.Explain.Why(ctx, e.Mapping, e.Namespace, e.Name); err == nil {
			if last := chain.Last(); last.State == why.Broken {
				now.cause, now.at = last.Cause, last.Object
			}
		}
		if now.cause == e.why.cause && now.at == e.why.at {
			now.since = e.why.since
		}
		e.why = now
		late, all = append(late, e), append(all, now)
	}
	if n, found := hopeless(all, time.Now(), r.Near); found {
		return late[n]
	}
	return nil
}

// result is what is to be said of an object at the end.
func (r *Run) result(ctx context.Context, e *entry, reason string) Result {
	out := Result{Group: Objects, Name: e.String(), Namespace: e.Namespace, Took: e.took, Text: e.Text}
	if e.State == Ready {
		return out
	}
	out.Took = time.Since(e.since)
	out.Failed, out.Stopped = true, reason
	out.Detail, out.Cause = r.explain(ctx, e.Object)
	return out
}

// explain is the answer of why, as text, and the last link of it.
func (r *Run) explain(ctx context.Context, o Object) (text, cause string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainLimit)
	defer cancel()
	chain, err := r.Explain.Why(ctx, o.Mapping, o.Namespace, o.Name)
	if err != nil {
		return fmt.Sprintf("why: %v\n", err), ""
	}
	var b strings.Builder
	_ = chain.Write(&b) // into memory
	return b.String(), fmt.Sprintf("%s: %s", chain.Last().Object, chain.Last().Sentence)
}
