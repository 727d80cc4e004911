package files

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// claimState is what decides whether a claim can be mounted.
type claimState struct {
	uid    types.UID
	phase  v1.PersistentVolumeClaimPhase
	volume string
	going  bool
}

func stateOfClaim(c *v1.PersistentVolumeClaim) claimState {
	return claimState{c.UID, c.Status.Phase, c.Spec.VolumeName, isGoing(c)}
}

// claimHandler calls changed when a Pod that waits for a claim may go on. The size of a volume
// is none of that: Pods that run are left alone when it grows.
func claimHandler(changed func(namespace, name string)) cache.ResourceEventHandler {
	call := func(c *v1.PersistentVolumeClaim) { changed(c.Namespace, c.Name) }
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { call(obj.(*v1.PersistentVolumeClaim)) },
		UpdateFunc: func(before, after any) {
			if c := after.(*v1.PersistentVolumeClaim); stateOfClaim(before.(*v1.PersistentVolumeClaim)) != stateOfClaim(c) {
				call(c)
			}
		},
	}
}

// persistentHandler calls changed with the claim of a volume that is declared otherwise now.
func persistentHandler(changed func(namespace, name string)) cache.ResourceEventHandler {
	call := func(pv *v1.PersistentVolume) {
		if ref := pv.Spec.ClaimRef; ref != nil {
			changed(ref.Namespace, ref.Name)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { call(obj.(*v1.PersistentVolume)) },
		UpdateFunc: func(before, after any) {
			old, pv := before.(*v1.PersistentVolume), after.(*v1.PersistentVolume)
			if old.UID != pv.UID || !equality.Semantic.DeepEqual(withoutSize(old.Spec), withoutSize(pv.Spec)) {
				call(pv)
			}
		},
	}
}

func withoutSize(s v1.PersistentVolumeSpec) v1.PersistentVolumeSpec {
	s.Capacity = nil
	return s
}
