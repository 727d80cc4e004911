package pods

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Ref names one Pod for good: a Pod that is deleted and made again under the same
// name has another UID. Of some only the UID is known, as of one that left a directory.
type Ref struct {
	Namespace, Name string
	UID             types.UID
}

// String is NAMESPACE/NAME.
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// RefOf names a Pod.
func RefOf(pod *v1.Pod) Ref { return Ref{pod.Namespace, pod.Name, pod.UID} }
