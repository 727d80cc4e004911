package orchestrator

import (
	"encoding/json"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// content is an object without metadata and status: what a generation counts.
func content(m map[string]any) map[string]any {
	m = maps.Clone(m)
	delete(m, "metadata")
	delete(m, "status")
	return m
}

func object(obj runtime.Object) metav1.Object { return obj.(metav1.Object) }

// onlyMeta is what the metadata client sees of an object.
func onlyMeta(obj runtime.Object) runtime.Object {
	m, ok := obj.(metav1.Object)
	if !ok {
		return obj
	}
	if partial, ok := obj.(*metav1.PartialObjectMetadata); ok {
		return partial
	}
	data, _ := json.Marshal(toMap(m.(runtime.Object))["metadata"])
	partial := &metav1.PartialObjectMetadata{}
	_ = json.Unmarshal(data, &partial.ObjectMeta)
	return partial
}

func toMap(obj runtime.Object) map[string]any {
	data, _ := json.Marshal(obj)
	var m map[string]any
	_ = json.Unmarshal(data, &m)
	return m
}

func fromMap(m map[string]any, like runtime.Object) runtime.Object {
	data, _ := json.Marshal(m)
	obj := like.DeepCopyObject()
	_ = runtime.SetZeroValue(obj)
	_ = json.Unmarshal(data, obj)
	return obj
}

func mergePatch(into, patch map[string]any) map[string]any {
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(into, k)
		case map[string]any:
			sub, _ := into[k].(map[string]any)
			if sub == nil {
				sub = map[string]any{}
			}
			into[k] = mergePatch(sub, v)
		default:
			into[k] = v
		}
	}
	return into
}
