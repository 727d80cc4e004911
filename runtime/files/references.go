package files

import (
	"context"
	"errors"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// References are the ConfigMaps and Secrets of the API, which Pods refer to.
type References struct {
	client     kubernetes.Interface
	configMaps corelisters.ConfigMapLister
	secrets    corelisters.SecretLister
}

// Follow registers a handler with an informer, for as long as the caller's node has an agent.
type Follow func(cache.SharedIndexInformer, cache.ResourceEventHandler) error

// NewReferences follows ConfigMaps and Secrets; changed is called with the namespace and
// name of one that came, changed or went.
func NewReferences(client kubernetes.Interface, factory informers.SharedInformerFactory, follow Follow,
	changed func(namespace, name string, secret bool)) (*References, error) {
	configMaps, secrets := factory.Core().V1().ConfigMaps(), factory.Core().V1().Secrets()
	r := &References{client: client, configMaps: configMaps.Lister(), secrets: secrets.Lister()}
	return r, errors.Join(follow(configMaps.Informer(), nameHandler(func(ns, name string) { changed(ns, name, false) })),
		follow(secrets.Informer(), nameHandler(func(ns, name string) { changed(ns, name, true) })))
}

// ConfigMap finds one. What the informer has not seen yet is asked for: a Pod
// often comes right after its ConfigMap.
func (r *References) ConfigMap(ctx context.Context, namespace, name string) (*v1.ConfigMap, error) {
	found, err := r.configMaps.ConfigMaps(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		found, err = r.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return found, asKubeletSays(err, "configmap", name)
}

// Secret finds one.
func (r *References) Secret(ctx context.Context, namespace, name string) (*v1.Secret, error) {
	found, err := r.secrets.Secrets(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		found, err = r.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return found, asKubeletSays(err, "secret", name)
}

// nameHandler calls changed for each change of an object.
func nameHandler(changed func(namespace, name string)) cache.ResourceEventHandler {
	call := func(obj any) {
		if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			changed(key.Namespace, key.Name)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: call, UpdateFunc: func(_, obj any) { call(obj) }, DeleteFunc: call}
}

// asKubeletSays names what is missing by its kind in the singular, which is how the
// events and statuses of a kubelet do it; the API server says "configmaps".
func asKubeletSays(err error, kind, name string) error {
	if apierrors.IsNotFound(err) {
		return apierrors.NewNotFound(v1.Resource(kind), name)
	}
	return err
}

// RefersTo tells whether a Pod's volumes or variables come from the object.
func RefersTo(pod *v1.Pod, name string, secret bool) bool {
	for _, v := range pod.Spec.Volumes {
		if volumeRefersTo(v, name, secret) {
			return true
		}
	}
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for n := range list {
			if envRefersTo(&list[n], name, secret) {
				return true
			}
		}
	}
	return false
}

func volumeRefersTo(v v1.Volume, name string, secret bool) bool {
	switch {
	case v.ConfigMap != nil:
		return !secret && v.ConfigMap.Name == name
	case v.Secret != nil:
		return secret && v.Secret.SecretName == name
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if !secret && s.ConfigMap != nil && s.ConfigMap.Name == name || secret && s.Secret != nil && s.Secret.Name == name {
				return true
			}
		}
	}
	return false
}

func envRefersTo(c *v1.Container, name string, secret bool) bool {
	for _, s := range c.EnvFrom {
		if !secret && s.ConfigMapRef != nil && s.ConfigMapRef.Name == name || secret && s.SecretRef != nil && s.SecretRef.Name == name {
			return true
		}
	}
	for _, e := range c.Env {
		s := e.ValueFrom
		if s == nil {
			continue
		}
		if !secret && s.ConfigMapKeyRef != nil && s.ConfigMapKeyRef.Name == name || secret && s.SecretKeyRef != nil && s.SecretKeyRef.Name == name {
			return true
		}
	}
	return false
}
