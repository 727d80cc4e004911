package why

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Why follows the chain of one object. It fails if the object cannot be read; what else cannot be is in the Chain.
func (e *Explainer) Why(ctx context.Context, kind *meta.RESTMapping, namespace, name string) (Chain, error) {
	l := e.look(ctx)
	if kind.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	found, err := l.follow(kind, namespace, name)
	if apierrors.IsNotFound(err) {
		return Chain{}, fmt.Errorf("%s %q does not exist%s", kind.GroupVersionKind.Kind, name, l.hint(kind, namespace, name))
	}
	if err != nil {
		return Chain{}, err
	}
	c := Chain{Object{kind.GroupVersionKind.Kind, namespace, name}, found.state(), found, l.unread}
	if c.State == OK && len(c.Unread) > 0 {
		c.State = Unknown // what was not read may be what is wrong
	}
	return c, nil
}

// hint says where the object may be that was not found.
func (l *look) hint(kind *meta.RESTMapping, namespace, name string) string {
	if namespace == "" {
		if found, err := l.dynamic.Resource(kind.Resource).List(l.ctx, metav1.ListOptions{}); err == nil {
			var names []string
			for _, o := range found.Items {
				names = append(names, o.GetName())
			}
			return orNearest(name, names)
		}
		return ""
	}
	where := " in namespace " + quote(namespace)
	found, err := l.dynamic.Resource(kind.Resource).List(l.ctx, metav1.ListOptions{})
	if err != nil { // without the right to see all namespaces
		if found, err = l.dynamic.Resource(kind.Resource).Namespace(namespace).List(l.ctx, metav1.ListOptions{}); err != nil {
			return where
		}
	}
	var names []string
	for _, o := range found.Items {
		switch {
		case o.GetNamespace() == namespace:
			names = append(names, o.GetName())
		case o.GetName() == name:
			return where + "; there is one in namespace " + quote(o.GetNamespace())
		}
	}
	return where + orNearest(name, names)
}

// follow leads to the step that begins with a kind.
func (l *look) follow(kind *meta.RESTMapping, namespace, name string) (links, error) {
	core, apps, batch := l.client.CoreV1(), l.client.AppsV1(), l.client.BatchV1()
	switch kind.GroupVersionKind.GroupKind().String() {
	case "Pod":
		return begin(l, name, core.Pods(namespace), l.pod)
	case "Service":
		return begin(l, name, core.Services(namespace), l.service)
	case "PersistentVolumeClaim":
		return begin(l, name, core.PersistentVolumeClaims(namespace), l.claim)
	case "Namespace":
		return begin(l, name, core.Namespaces(), l.namespace)
	case "Node":
		return begin(l, name, core.Nodes(), l.node)
	case "ReplicationController":
		return begin(l, name, core.ReplicationControllers(namespace), l.replicationController)
	case "Deployment.apps":
		return begin(l, name, apps.Deployments(namespace), l.deployment)
	case "ReplicaSet.apps":
		return begin(l, name, apps.ReplicaSets(namespace), l.replicaSet)
	case "StatefulSet.apps":
		return begin(l, name, apps.StatefulSets(namespace), l.statefulSet)
	case "DaemonSet.apps":
		return begin(l, name, apps.DaemonSets(namespace), l.daemonSet)
	case "Job.batch":
		return begin(l, name, batch.Jobs(namespace), l.job)
	case "CronJob.batch":
		return begin(l, name, batch.CronJobs(namespace), l.cronJob)
	case "Ingress.networking.k8s.io":
		return begin(l, name, l.client.NetworkingV1().Ingresses(namespace), l.ingress)
	case "HorizontalPodAutoscaler.autoscaling":
		return begin(l, name, l.client.AutoscalingV2().HorizontalPodAutoscalers(namespace), l.autoscaler)
	case "PodDisruptionBudget.policy":
		return begin(l, name, l.client.PolicyV1().PodDisruptionBudgets(namespace), l.budget)
	}
	if kind.GroupVersionKind.Group == gatewayGroup {
		return begin(l, name, objectGetter{l.objects(kind.Resource, namespace)}, l.gatewayObject)
	}
	return begin(l, name, objectGetter{l.objects(kind.Resource, namespace)}, l.other)
}

// begin reads the object and takes the first step.
func begin[O any](l *look, name string, from getter[O], step func(O) links) (links, error) {
	o, err := from.Get(l.ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return step(o), nil
}
