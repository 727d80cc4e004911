package orchestrator

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/core"
	informerscorev1 "k8s.io/client-go/informers/core/v1"
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

func (f unfinishedPods) Core() core.Interface { return unfinishedCore{f.SharedInformerFactory.Core()} }

type unfinishedCore struct{ core.Interface }

func (c unfinishedCore) V1() informerscorev1.Interface { return unfinishedV1{c.Interface.V1()} }

type unfinishedV1 struct{ informerscorev1.Interface }

func (v unfinishedV1) Pods() informerscorev1.PodInformer {
	return unfinishedPodInformer{v.Interface.Pods()}
}

type unfinishedPodInformer struct{ informerscorev1.PodInformer }

func (p unfinishedPodInformer) Informer() cache.SharedIndexInformer {
	return unfinishedEvents{p.PodInformer.Informer()}
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
