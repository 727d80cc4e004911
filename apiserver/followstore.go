package apiserver

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// registry is what an informer follows of one.
type registry interface {
	rest.Lister
	rest.Watcher
}

// followStore is an informer that reads a registry without the API: it works before anything is served. object and list
// are empty ones of the version that it keeps.
func followStore(from registry, version schema.GroupVersion, object, list runtime.Object) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			internal, err := internalOptions(&options)
			if err != nil {
				return nil, err
			}
			stored, err := from.List(genericapirequest.WithNamespace(ctx, ""), internal)
			if err != nil {
				return nil, err
			}
			converted := list.DeepCopyObject()
			return converted, legacyscheme.Scheme.Convert(stored, converted, nil)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			internal, err := internalOptions(&options)
			if err != nil {
				return nil, err
			}
			stored, err := from.Watch(genericapirequest.WithNamespace(ctx, ""), internal)
			if err != nil {
				return nil, err
			}
			return watch.Filter(stored, func(e watch.Event) (watch.Event, bool) { return inVersion(e, version), true }), nil
		},
	}, object, 0, cache.Indexers{})
}

// inVersion is an event of a registry with its object in the version. One that cannot be converted ends the watch, so that
// the list that follows says why.
func inVersion(e watch.Event, version schema.GroupVersion) watch.Event {
	if e.Type == watch.Error {
		return e
	}
	if sent, ok := e.Object.(runtime.CacheableObject); ok { // the store's, made for encoders
		e.Object = sent.GetObject()
	}
	converted, err := legacyscheme.Scheme.ConvertToVersion(e.Object, version)
	if err != nil {
		status := apierrors.NewInternalError(fmt.Errorf("watch of %s: %w", version, err)).ErrStatus
		return watch.Event{Type: watch.Error, Object: &status}
	}
	e.Object = converted
	return e
}

func internalOptions(options *metav1.ListOptions) (*metainternalversion.ListOptions, error) {
	internal := &metainternalversion.ListOptions{}
	if err := metainternalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(options, internal, nil); err != nil {
		return nil, fmt.Errorf("list options: %w", err)
	}
	return internal, nil
}

// cidrInformer and addressInformer are followed registries as upstream's allocator wants them.
type cidrInformer struct{ cache.SharedIndexInformer }

func (i cidrInformer) Informer() cache.SharedIndexInformer { return i.SharedIndexInformer }

func (i cidrInformer) Lister() networkinglisters.ServiceCIDRLister {
	return networkinglisters.NewServiceCIDRLister(i.GetIndexer())
}

type addressInformer struct{ cache.SharedIndexInformer }

func (i addressInformer) Informer() cache.SharedIndexInformer { return i.SharedIndexInformer }

func (i addressInformer) Lister() networkinglisters.IPAddressLister {
	return networkinglisters.NewIPAddressLister(i.GetIndexer())
}
