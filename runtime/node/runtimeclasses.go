package node

import (
	"context"
	"errors"

	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
)

// declareRuntimes sees to it that each of Docker's runtimes has a RuntimeClass of its name:
// the API server rejects a Pod whose class does not exist. Whoever deletes or changes one
// has that until the next start of Docker or the agent.
func declareRuntimes(ctx context.Context, client kubernetes.Interface, names []string) (err error) {
	for _, name := range names {
		if len(validation.IsDNS1123Label(name)) > 0 { // containerd's own, such as io.containerd.runc.v2
			continue
		}
		class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Handler: name}
		if _, e := client.NodeV1().RuntimeClasses().Create(ctx, class, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(e) {
			err = errors.Join(err, e)
		}
	}
	return err
}
