package files

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	ephemeralhelpers "k8s.io/component-helpers/storage/ephemeral"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

// Claims are the PersistentVolumeClaims and PersistentVolumes of the API, and which Pods of
// this node use which.
type Claims struct {
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	pods    cache.Indexer
	node    string

	mu    sync.Mutex                        // guards what follows
	users map[string]map[types.UID]struct{} // the Pods that have a PersistentVolume mounted, by its name
}

// NewClaims reads claims and their volumes.
func NewClaims(client kubernetes.Interface, factory informers.SharedInformerFactory, node string) (*Claims, error) {
	core := factory.Core().V1()
	pods, pvcs, pvs := core.Pods().Informer(), core.PersistentVolumeClaims(), core.PersistentVolumes()
	c := &Claims{
		client: client,
		claims: pvcs.Lister(), volumes: pvs.Lister(), pods: pods.GetIndexer(),
		node: node, users: map[string]map[types.UID]struct{}{},
	}
	if _, there := c.pods.GetIndexers()[claimIndex]; there { // of another node's agent
		return c, nil
	}
	return c, pods.AddIndexers(cache.Indexers{claimIndex: claimsOf})
}

// claimIndex finds Pods by the claims that they declare.
const claimIndex = "claims"

// PodsOf are the Pods of this node that declare a claim.
func (c *Claims) PodsOf(namespace, name string) (out []*v1.Pod) {
	found, _ := c.pods.ByIndex(claimIndex, namespace+"/"+name) // the index is there
	for _, obj := range found {
		if pod := obj.(*v1.Pod); pod.Spec.NodeName == c.node {
			out = append(out, pod)
		}
	}
	return out
}

// cached reads what the informers have seen.
func (c *Claims) cached() claimReader {
	return claimReader{
		claim: func(namespace, name string) (*v1.PersistentVolumeClaim, error) {
			return c.claims.PersistentVolumeClaims(namespace).Get(name)
		},
		volume: c.volumes.Get,
	}
}

// live reads the API.
func (c *Claims) live(ctx context.Context) claimReader {
	core := c.client.CoreV1()
	return claimReader{
		claim: func(namespace, name string) (*v1.PersistentVolumeClaim, error) {
			return core.PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		volume: func(name string) (*v1.PersistentVolume, error) {
			return core.PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		},
	}
}

// Bound finds the PersistentVolume behind a volume of the Pod. What the informers say against
// it may be old: a Pod often comes right after its claim was bound.
func (c *Claims) Bound(ctx context.Context, pod *v1.Pod, v v1.Volume) (*v1.PersistentVolume, error) {
	if pv, err := c.cached().bound(pod, v); err == nil {
		return pv, nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return c.live(ctx).bound(pod, v)
}

// Hold notes that a Pod has a volume mounted, and tells whether another one has that is not over.
func (c *Claims) Hold(pv string, uid types.UID, over map[types.UID]bool) (shared bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	users := c.users[pv]
	if users == nil {
		users = map[types.UID]struct{}{}
		c.users[pv] = users
	}
	users[uid] = struct{}{}
	for other := range users {
		shared = shared || other != uid && !over[other]
	}
	return shared
}

// Leave forgets a Pod whose volumes are gone.
func (c *Claims) Leave(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pv, users := range c.users {
		if delete(users, uid); len(users) == 0 {
			delete(c.users, pv)
		}
	}
}

// Release forgets that a Pod has a volume mounted.
func (c *Claims) Release(pv string, uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.users[pv], uid)
	if len(c.users[pv]) == 0 {
		delete(c.users, pv)
	}
}

// Path is where the volume behind a claim lies; empty: it is not bound, or this node cannot mount it.
func (c *Claims) Path(pod *v1.Pod, v v1.Volume) string {
	pv, err := c.cached().bound(pod, v)
	if err != nil {
		return ""
	}
	return PersistentOf(pv, v).Path
}

// FollowClaims calls changed with the namespace and name of a claim that Pods may have waited for. The informers may run
// already, since admission has some of them too: whatever changed uses has to be there.
func FollowClaims(factory informers.SharedInformerFactory, follow Follow, changed func(namespace, name string)) error {
	core := factory.Core().V1()
	return errors.Join(follow(core.PersistentVolumeClaims().Informer(), claimHandler(changed)),
		follow(core.PersistentVolumes().Informer(), persistentHandler(changed)))
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

// claimReader finds claims and their volumes.
type claimReader struct {
	claim  func(namespace, name string) (*v1.PersistentVolumeClaim, error)
	volume func(name string) (*v1.PersistentVolume, error)
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
