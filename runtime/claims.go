package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	ephemeralhelpers "k8s.io/component-helpers/storage/ephemeral"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

// claims are the PersistentVolumeClaims and PersistentVolumes of the API, and which Pods of
// this node use which.
type claims struct {
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	pods    cache.Indexer
	node    string

	mu    sync.Mutex                        // guards what follows
	users map[string]map[types.UID]struct{} // the Pods that have a PersistentVolume mounted, by its name
}

// newClaims reads claims and their volumes.
func newClaims(factory informers.SharedInformerFactory, node string) (*claims, error) {
	core := factory.Core().V1()
	pods, pvcs, pvs := core.Pods().Informer(), core.PersistentVolumeClaims(), core.PersistentVolumes()
	c := &claims{
		claims: pvcs.Lister(), volumes: pvs.Lister(), pods: pods.GetIndexer(), node: node, users: map[string]map[types.UID]struct{}{},
	}
	if _, there := c.pods.GetIndexers()[claimIndex]; there { // of another node's agent
		return c, nil
	}
	return c, pods.AddIndexers(cache.Indexers{claimIndex: claimsOf})
}

// claimIndex finds Pods by the claims that they declare.
const claimIndex = "claims"

// followClaims calls changed with the namespace and name of a claim that Pods may have waited for. The informers may run
// already, since admission has some of them too: whatever changed uses has to be there.
func followClaims(factory informers.SharedInformerFactory, with *handlers, changed func(namespace, name string)) error {
	core := factory.Core().V1()
	return errors.Join(with.add(core.PersistentVolumeClaims().Informer(), claimHandler(changed)),
		with.add(core.PersistentVolumes().Informer(), persistentHandler(changed)))
}

// claimsOf are the keys of a Pod in the claimIndex.
func claimsOf(obj any) (keys []string, err error) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil, nil
	}
	for _, v := range pod.Spec.Volumes {
		if name := pods.ClaimName(pod, v); name != "" {
			keys = append(keys, pod.Namespace+"/"+name)
		}
	}
	return keys, nil
}

// podsOf are the Pods of this node that declare a claim.
func (c *claims) podsOf(namespace, name string) (out []*v1.Pod) {
	found, _ := c.pods.ByIndex(claimIndex, namespace+"/"+name) // the index is there
	for _, obj := range found {
		if pod := obj.(*v1.Pod); pod.Spec.NodeName == c.node {
			out = append(out, pod)
		}
	}
	return out
}

// claimChanged wakes the Pods that wait for a claim or its volume.
func (a *Agent) claimChanged(namespace, name string) {
	for _, pod := range a.claims.podsOf(namespace, name) {
		a.enqueuePod(pod)
	}
}

// claimReader finds claims and their volumes.
type claimReader struct {
	claim  func(namespace, name string) (*v1.PersistentVolumeClaim, error)
	volume func(name string) (*v1.PersistentVolume, error)
}

// cached reads what the informers have seen.
func (c *claims) cached() claimReader {
	return claimReader{
		claim: func(namespace, name string) (*v1.PersistentVolumeClaim, error) {
			return c.claims.PersistentVolumeClaims(namespace).Get(name)
		},
		volume: c.volumes.Get,
	}
}

// live reads the API.
func (a *Agent) live(ctx context.Context) claimReader {
	core := a.client.CoreV1()
	return claimReader{
		claim: func(namespace, name string) (*v1.PersistentVolumeClaim, error) {
			return core.PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		volume: func(name string) (*v1.PersistentVolume, error) {
			return core.PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		},
	}
}

// bound finds the PersistentVolume behind a volume of the Pod. What the informers say against
// it may be old: a Pod often comes right after its claim was bound.
func (a *Agent) bound(ctx context.Context, pod *v1.Pod, v v1.Volume) (*v1.PersistentVolume, error) {
	if pv, err := a.claims.cached().bound(pod, v); err == nil {
		return pv, nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return a.live(ctx).bound(pod, v)
}

// bound checks what a kubelet checks, and says in its words what is wrong.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#claims-as-volumes
func (r claimReader) bound(pod *v1.Pod, v v1.Volume) (*v1.PersistentVolume, error) {
	name := pods.ClaimName(pod, v)
	failed := func(format string, args ...any) (*v1.PersistentVolume, error) {
		return nil, fmt.Errorf("error processing PVC %s/%s: %w", pod.Namespace, name, fmt.Errorf(format, args...))
	}
	claim, err := r.claim(pod.Namespace, name)
	if err != nil {
		return failed("failed to fetch PVC from API server: %w", err)
	}
	if err := usable(claim); err != nil {
		return failed("%w", err)
	}
	if v.Ephemeral != nil {
		if err := ephemeralhelpers.VolumeIsForPod(pod, claim); err != nil {
			return nil, err
		}
	}
	pv, err := r.volume(claim.Spec.VolumeName)
	switch {
	case err != nil:
		return failed("failed to fetch PV %s from API server: %w", claim.Spec.VolumeName, err)
	case pv.Spec.ClaimRef == nil:
		return failed("found PV object %s but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim", pv.Name)
	case pv.Spec.ClaimRef.UID != claim.UID:
		return failed("found PV object %s but its pv.Spec.ClaimRef.UID %s does not point to claim.UID %s", pv.Name, pv.Spec.ClaimRef.UID, claim.UID)
	}
	return pv, nil
}

// usable tells why a claim cannot be mounted. One that is being deleted can while Pods hold
// it back: they may run already.
func usable(claim *v1.PersistentVolumeClaim) error {
	switch {
	case isGoing(claim):
		return errors.New("PVC is being deleted")
	case claim.Status.Phase != v1.ClaimBound:
		return errors.New("PVC is not bound")
	case claim.Spec.VolumeName == "":
		return errors.New("PVC has empty pvc.Spec.VolumeName")
	}
	return nil
}

func isGoing(claim *v1.PersistentVolumeClaim) bool {
	return claim.DeletionTimestamp != nil && !slices.Contains(claim.Finalizers, volumeutil.PVCProtectionFinalizer)
}

// claimErrors are all claims of a Pod that cannot be mounted yet, by the names of its volumes. A
// kubelet names them in one event.
type claimErrors struct {
	volumes []string
	errs    []string
}

func (e *claimErrors) Error() string {
	return fmt.Sprintf("Unable to attach or mount volumes: unmounted volumes=%v, unattached volumes=[], failed to process volumes=%v: %s",
		e.volumes, e.volumes, strings.Join(e.errs, "; "))
}
