package apiserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/core"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// podsOnDemand is an informer factory whose Pods are listed when somebody asks. PodSecurity does when the labels of a
// namespace change, to warn of Pods that offend; and no informer of Pods may run before the orchestrator has built its
// controllers.
type podsOnDemand struct {
	informers.SharedInformerFactory
	client kubernetes.Interface
}

func (f podsOnDemand) Core() core.Interface {
	return coreOnDemand{f.SharedInformerFactory.Core(), f.client}
}

type coreOnDemand struct {
	core.Interface
	client kubernetes.Interface
}

func (c coreOnDemand) V1() coreinformers.Interface {
	return coreV1OnDemand{c.Interface.V1(), c.client}
}

type coreV1OnDemand struct {
	coreinformers.Interface
	client kubernetes.Interface
}

func (c coreV1OnDemand) Pods() coreinformers.PodInformer {
	return podInformer{c.Interface.Pods(), c.client}
}

type podInformer struct {
	coreinformers.PodInformer
	client kubernetes.Interface
}

func (p podInformer) Lister() corelisters.PodLister { return podLister{client: p.client} }

// podLister lists Pods of all namespaces, or of one.
type podLister struct {
	corelisters.PodListerExpansion
	corelisters.PodNamespaceListerExpansion
	client    kubernetes.Interface
	namespace string
}

func (p podLister) Pods(namespace string) corelisters.PodNamespaceLister {
	return podLister{client: p.client, namespace: namespace}
}

func (p podLister) List(selector labels.Selector) ([]*corev1.Pod, error) {
	list, err := p.client.CoreV1().Pods(p.namespace).List(context.Background(), metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	return pods, nil
}

func (p podLister) Get(name string) (*corev1.Pod, error) {
	return p.client.CoreV1().Pods(p.namespace).Get(context.Background(), name, metav1.GetOptions{})
}
