package verdict

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kube-lite/kube-lite/why"
)

// Cluster is where a run takes place.
type Cluster struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	REST    *rest.Config // for streams: commands in pods, and connections to them
	Explain *why.Explainer
	// Near says that Services and pods are reached from here under their own addresses, as they are on the machine of an
	// instance. Elsewhere connections go through the API server, to a ready endpoint.
	Near bool
	// Authorities returns certificates, in PEM, that checks trust beside those of the system; nil: none.
	Authorities func() []byte
	// Namespace is that of names without one.
	Namespace string
}

// Object is one that the run has applied.
type Object struct {
	Mapping         *meta.RESTMapping
	Namespace, Name string // Namespace is empty for objects of the cluster
}

// String is how the object is called in reports: "Deployment web".
func (o Object) String() string { return o.Kind() + " " + o.Name }

// Kind is the object's kind.
func (o Object) Kind() string { return o.Mapping.GroupVersionKind.Kind }

// get reads the object as it is now.
func (c *Cluster) get(ctx context.Context, o Object) (*unstructured.Unstructured, error) {
	return c.resource(o).Get(ctx, o.Name, metav1.GetOptions{})
}

func (c *Cluster) resource(o Object) dynamic.ResourceInterface {
	if o.Namespace == "" {
		return c.Dynamic.Resource(o.Mapping.Resource)
	}
	return c.Dynamic.Resource(o.Mapping.Resource).Namespace(o.Namespace)
}

// pause waits for a moment, and tells whether the context still holds.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
