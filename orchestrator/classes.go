package orchestrator

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	storageutil "k8s.io/kubernetes/pkg/apis/storage/util"
)

const (
	// defaultClass binds a claim when a Pod wants it, immediateClass at once.
	defaultClass   = "standard"
	immediateClass = "standard-immediate"
	// classesRetry is the pause before classes are created again that could not be.
	classesRetry = time.Second
)

// newClasses creates the StorageClasses.
func newClasses(_ context.Context, w *world) (runner, error) {
	if w.opts.VolumeDir == "" {
		return idle, nil
	}
	return single(func(ctx context.Context) {
		_ = wait.PollUntilContextCancel(ctx, classesRetry, true, func(ctx context.Context) (bool, error) {
			err := ensureClasses(ctx, w.client)
			if err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "the StorageClasses are not there, trying again")
			}
			return err == nil, nil
		})
		<-ctx.Done()
	}), nil
}

// ensureClasses creates the StorageClasses that are missing; those that are there belong to their user.
func ensureClasses(ctx context.Context, client kubernetes.Interface) error {
	for name, mode := range map[string]storagev1.VolumeBindingMode{
		defaultClass:   storagev1.VolumeBindingWaitForFirstConsumer,
		immediateClass: storagev1.VolumeBindingImmediate,
	} {
		class := &storagev1.StorageClass{
			ObjectMeta:           metav1.ObjectMeta{Name: name},
			Provisioner:          Provisioner,
			ReclaimPolicy:        new(corev1.PersistentVolumeReclaimDelete),
			VolumeBindingMode:    &mode,
			AllowVolumeExpansion: new(true),
		}
		if name == defaultClass {
			class.Annotations = map[string]string{storageutil.IsDefaultStorageClassAnnotation: "true"}
		}
		_, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create StorageClass %s: %w", name, err)
		}
	}
	return nil
}
