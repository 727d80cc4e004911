package orchestrator

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

// newScheduler is Kubernetes' own, with its default profile.
// https://kubernetes.io/docs/reference/scheduling/config/
func newScheduler(ctx context.Context, w *world) (runner, error) {
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: w.client.EventsV1()})
	s, err := scheduler.New(ctx, w.client, unfinishedPods{w.informers}, nil, profile.NewRecorderFactory(broadcaster))
	if err != nil {
		broadcaster.Shutdown()
		return nil, err
	}
	return single(func(ctx context.Context) {
		defer broadcaster.Shutdown()
		if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "the scheduler's events are not recorded")
		}
		w.informers.WaitForCacheSync(ctx.Done())
		if err := s.WaitForHandlersSync(ctx); err != nil && !errors.Is(err, context.Canceled) {
			klog.FromContext(ctx).Error(err, "the scheduler starts without having seen all objects")
		}
		s.Run(ctx)
	}), nil
}

// unfinishedPods is a shared informer factory for the scheduler, to which a Pod that has finished is gone: it takes
// nothing of its node any more. Upstream watches such a selection of Pods instead, which would be a second copy of them.
type unfinishedPods struct {
	informers.SharedInformerFactory
}

// Core has its informers made by this factory, see gate.
func (f unfinishedPods) Core() core.Interface { return core.New(f, metav1.NamespaceAll, nil) }

// InformerFor is where all typed informers of a factory come from.
func (f unfinishedPods) InformerFor(obj runtime.Object, make internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	informer := f.SharedInformerFactory.InformerFor(obj, make)
	if _, is := obj.(*corev1.Pod); is {
		return unfinishedEvents{informer}
	}
	return informer
}

// unfinishedEvents tells its handlers that a Pod was deleted when it finishes.
type unfinishedEvents struct{ cache.SharedIndexInformer }

func (e unfinishedEvents) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return e.SharedIndexInformer.AddEventHandler(cache.FilteringResourceEventHandler{FilterFunc: isUnfinished, Handler: h})
}

// isUnfinished lets pass what is no Pod: the last known state of one whose deletion was missed.
func isUnfinished(obj any) bool {
	pod, ok := obj.(*corev1.Pod)
	return !ok || pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}
