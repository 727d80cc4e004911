package orchestrator

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/volume/ephemeral"
	"k8s.io/kubernetes/pkg/controller/volume/persistentvolume"
	"k8s.io/kubernetes/pkg/controller/volume/pvcprotection"
	"k8s.io/kubernetes/pkg/controller/volume/pvprotection"
	"k8s.io/kubernetes/pkg/controller/volume/vacprotection"
)

// volumeSync is kube-controller-manager's --pvclaimbinder-sync-period.
const volumeSync = 15 * time.Second

// storageLoops bind claims to volumes, keep what is in use, and make volumes.
func storageLoops() []loop {
	return []loop{
		{"persistentvolume-binder-controller", 1, volumesOrClaims, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			binder, err := persistentvolume.NewController(ctx, persistentvolume.ControllerParameters{
				KubeClient: w.client, SyncPeriod: volumeSync, EnableDynamicProvisioning: true,
				VolumeInformer: core.PersistentVolumes(), ClaimInformer: core.PersistentVolumeClaims(),
				ClassInformer: w.informers.Storage().V1().StorageClasses(), PodInformer: core.Pods(), NodeInformer: core.Nodes(),
			})
			if err != nil {
				return nil, err
			}
			return single(binder.Run), nil
		}},
		{"persistentvolumeclaim-protection-controller", 1, volumesOrClaims, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return pvcprotection.NewPVCProtectionController(klog.FromContext(ctx), core.PersistentVolumeClaims(), core.Pods(), w.client)
		}},
		{"persistentvolume-protection-controller", 1, volumesOrClaims, func(ctx context.Context, w *world) (runner, error) {
			return pvprotection.NewPVProtectionController(klog.FromContext(ctx), w.informers.Core().V1().PersistentVolumes(), w.client), nil
		}},
		{"volumeattributesclass-protection-controller", 1, func(w *world) []trigger { return anyOf(w.informers.Storage().V1().VolumeAttributesClasses()) }, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return vacprotection.NewVACProtectionController(klog.FromContext(ctx), w.client, core.PersistentVolumeClaims(),
				core.PersistentVolumes(), w.informers.Storage().V1().VolumeAttributesClasses())
		}},
		{"ephemeral-volume-controller", 5, podsWithEphemeralVolumes, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return ephemeral.NewController(ctx, w.client, core.Pods(), core.PersistentVolumeClaims())
		}},
		{"directory-classes", 1, nil, newClasses},
		{"directory-provisioner", 1, volumesOrClaims, newProvisioner},
	}
}

func volumesOrClaims(w *world) []trigger {
	core := w.informers.Core().V1()
	return anyOf(core.PersistentVolumes(), core.PersistentVolumeClaims())
}

func podsWithEphemeralVolumes(w *world) []trigger {
	return []trigger{{w.informers.Core().V1().Pods().Informer(), func(obj any) bool {
		return slices.ContainsFunc(obj.(*corev1.Pod).Spec.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil })
	}}}
}
