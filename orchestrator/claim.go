package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// claim decides which objects belong to an owner with a selector: what it
// controls and selects is kept, what it controls and no longer selects is
// released, an orphan that it selects is adopted. See
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#non-template-pod-acquisitions.
type claim[T metav1.Object] struct {
	owner    metav1.Object
	kind     schema.GroupVersionKind
	selector labels.Selector

	// fresh reads the owner from the server. An adoption by a cached owner that
	// is gone by now would tie the orphan to nothing.
	fresh func(ctx context.Context) (metav1.Object, error)

	// patch applies a strategic merge patch to one object.
	patch func(ctx context.Context, obj T, data []byte) error
}

// of returns those of candidates that the owner controls after the call. With
// an error, it returns those that it could claim nevertheless.
func (c claim[T]) of(ctx context.Context, candidates []T) ([]T, error) {
	var claimed []T
	var errs []error
	adopt := true
	for _, obj := range candidates {
		matches := c.selector.Matches(labels.Set(obj.GetLabels()))
		ref := metav1.GetControllerOfNoCopy(obj)
		switch {
		case ref != nil && ref.UID != c.owner.GetUID():
		case ref != nil && matches:
			claimed = append(claimed, obj)
		case ref != nil:
			errs = append(errs, c.release(ctx, obj))
		case matches && adopt && c.owner.GetDeletionTimestamp() == nil && obj.GetDeletionTimestamp() == nil:
			done, err := c.adopt(ctx, obj)
			if done {
				claimed = append(claimed, obj)
			}
			adopt = err == nil
			errs = append(errs, err)
		}
	}
	return claimed, errors.Join(errs...)
}

func (c claim[T]) adopt(ctx context.Context, obj T) (bool, error) {
	fresh, err := c.fresh(ctx)
	if err != nil {
		return false, fmt.Errorf("recheck %s before it adopts %s: %w", c.owner.GetName(), obj.GetName(), err)
	}
	if fresh.GetUID() != c.owner.GetUID() || fresh.GetDeletionTimestamp() != nil {
		return false, fmt.Errorf("%s is gone or going, it adopts nothing", c.owner.GetName())
	}
	err = c.patch(ctx, obj, ownerPatch(obj, metav1.NewControllerRef(c.owner, c.kind)))
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("adopt %s: %w", obj.GetName(), err)
	}
	return true, nil
}

func (c claim[T]) release(ctx context.Context, obj T) error {
	if c.owner.GetDeletionTimestamp() != nil {
		return nil // the collector decides over what a dying owner leaves
	}
	err := c.patch(ctx, obj, ownerPatch(obj, map[string]any{"$patch": "delete", "uid": c.owner.GetUID()}))
	// Invalid: the UID in the patch is not the object's any more, it was replaced.
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("release %s: %w", obj.GetName(), err)
	}
	return nil
}

// ownerPatch is a strategic merge patch that puts ref among obj's owners, and
// fails if another object has taken obj's name.
func ownerPatch(obj metav1.Object, ref any) []byte {
	return mustJSON(map[string]any{"metadata": map[string]any{
		"uid": obj.GetUID(), "ownerReferences": []any{ref},
	}})
}

// mustJSON encodes what consists of strings, numbers, maps and API structs, which
// cannot fail.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return data
}

// podsByController is the pod index whose values are the UID of each pod's
// controller, or for a pod without one orphansOf its namespace.
const podsByController = "kube-lite-controller"

func indexByController(obj any) ([]string, error) {
	pod, ok := obj.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("index %T by controller: no object metadata", obj)
	}
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
		return []string{string(ref.UID)}, nil
	}
	return []string{orphansOf(pod.GetNamespace())}, nil
}

// orphansOf has a slash, which no UID has.
func orphansOf(namespace string) string { return "orphans/" + namespace }

// controlledBy tells the name and UID of obj's controller if it is of kind.
func controlledBy(obj metav1.Object, kind schema.GroupVersionKind) (name string, uid types.UID, ok bool) {
	ref := metav1.GetControllerOfNoCopy(obj)
	if ref == nil || ref.Kind != kind.Kind || schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).Group != kind.Group {
		return "", "", false
	}
	return ref.Name, ref.UID, true
}
