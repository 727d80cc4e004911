package apiserver

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/metrics/pkg/apis/metrics"
)

// nodeMetrics and podMetrics are resources that can be read and that nobody stores.
type (
	nodeMetrics struct {
		rest.TableConvertor
		figures *nodeFigures
		lister  corelisters.NodeLister
	}
	podMetrics struct {
		rest.TableConvertor
		figures *nodeFigures
		lister  corelisters.PodLister
	}
)

var (
	nodeMetricsResource = schema.GroupResource{Group: metrics.GroupName, Resource: "nodes"}
	podMetricsResource  = schema.GroupResource{Group: metrics.GroupName, Resource: "pods"}
)

// readable is what a resource needs to be listed and read.
type readable interface {
	rest.Storage
	rest.Scoper
	rest.Getter
	rest.Lister
	rest.SingularNameProvider
}

var _, _ readable = (*nodeMetrics)(nil), (*podMetrics)(nil)

func newNodeMetrics(f *nodeFigures, l corelisters.NodeLister) *nodeMetrics {
	return &nodeMetrics{usageTable{}, f, l}
}

func (*nodeMetrics) New() runtime.Object     { return &metrics.NodeMetrics{} }
func (*nodeMetrics) NewList() runtime.Object { return &metrics.NodeMetricsList{} }
func (*nodeMetrics) Destroy()                {}
func (*nodeMetrics) NamespaceScoped() bool   { return false }
func (*nodeMetrics) GetSingularName() string { return "" } // as metrics-server: clients take the kind's, nodemetrics

// Kind is rest.KindProvider: the type's name is not the resource's.
func (*nodeMetrics) Kind() string { return "NodeMetrics" }

// List implements rest.Lister.
func (n *nodeMetrics) List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	summaries, err := n.figures.summaries(ctx)
	if err != nil {
		return nil, err
	}
	byLabel, byName := selectors(options)
	out := &metrics.NodeMetricsList{}
	for _, summary := range summaries {
		for _, m := range nodesOf(summary, n.lister, byLabel) {
			if byName.Matches(fields.Set{"metadata.name": m.Name}) {
				out.Items = append(out.Items, m)
			}
		}
	}
	return out, nil
}

// Get implements rest.Getter.
func (n *nodeMetrics) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if _, err := n.lister.Get(name); err != nil {
		return nil, apierrors.NewNotFound(nodeMetricsResource, name)
	}
	summary, err := n.figures.summary(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, m := range nodesOf(summary, n.lister, labels.Everything()) {
		if m.Name == name {
			return &m, nil
		}
	}
	return nil, apierrors.NewNotFound(nodeMetricsResource, name)
}

func newPodMetrics(f *nodeFigures, l corelisters.PodLister) *podMetrics {
	return &podMetrics{usageTable{}, f, l}
}

func (*podMetrics) New() runtime.Object     { return &metrics.PodMetrics{} }
func (*podMetrics) NewList() runtime.Object { return &metrics.PodMetricsList{} }
func (*podMetrics) Destroy()                {}
func (*podMetrics) NamespaceScoped() bool   { return true }
func (*podMetrics) GetSingularName() string { return "" } // as metrics-server: clients take the kind's, podmetrics

// Kind is rest.KindProvider: the type's name is not the resource's.
func (*podMetrics) Kind() string { return "PodMetrics" }

// List implements rest.Lister.
func (p *podMetrics) List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	summaries, err := p.figures.summaries(ctx)
	if err != nil {
		return nil, err
	}
	byLabel, byName := selectors(options)
	out := &metrics.PodMetricsList{}
	for _, summary := range summaries {
		for _, m := range podsOf(summary, p.lister, genericrequest.NamespaceValue(ctx), byLabel) {
			if byName.Matches(fields.Set{"metadata.name": m.Name, "metadata.namespace": m.Namespace}) {
				out.Items = append(out.Items, m)
			}
		}
	}
	return out, nil
}

// Get implements rest.Getter.
func (p *podMetrics) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	namespace := genericrequest.NamespaceValue(ctx)
	pod, err := p.lister.Pods(namespace).Get(name)
	if err != nil || pod.Spec.NodeName == "" {
		return nil, apierrors.NewNotFound(podMetricsResource, namespace+"/"+name)
	}
	summary, err := p.figures.summary(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	for _, m := range podsOf(summary, p.lister, namespace, labels.Everything()) {
		if m.Name == name {
			return &m, nil
		}
	}
	return nil, apierrors.NewNotFound(podMetricsResource, namespace+"/"+name)
}

// selectors are those of a list's options.
func selectors(o *internalversion.ListOptions) (labels.Selector, fields.Selector) {
	byLabel, byName := labels.Everything(), fields.Everything()
	if o != nil && o.LabelSelector != nil {
		byLabel = o.LabelSelector
	}
	if o != nil && o.FieldSelector != nil {
		byName = o.FieldSelector
	}
	return byLabel, byName
}
