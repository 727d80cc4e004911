package router

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	// ClassName is that of the IngressClass whose Ingresses are served, the default one.
	ClassName = "kube-lite"
	// Controller is what an IngressClass names whose Ingresses are served.
	Controller = "kube-lite.io/ingress"
	// HTTPPortAnnotation and HTTPSPortAnnotation of the IngressClass say which ports are served. They are missing while
	// none are.
	HTTPPortAnnotation  = "kube-lite.io/http-port"
	HTTPSPortAnnotation = "kube-lite.io/https-port"
)

func newClass() *networkingv1.IngressClass {
	return &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: ClassName, Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"},
		},
		Spec: networkingv1.IngressClassSpec{Controller: Controller},
	}
}

// ensureClass returns the IngressClass, and makes it if it is not there.
func ensureClass(ctx context.Context, client kubernetes.Interface) (*networkingv1.IngressClass, error) {
	classes := client.NetworkingV1().IngressClasses()
	class, err := classes.Get(ctx, ClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		class, err = classes.Create(ctx, newClass(), metav1.CreateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("IngressClass %s: %w", ClassName, err)
	}
	return class, nil
}

// PortsOf reads the ports of an IngressClass, none if it says none.
func PortsOf(class *networkingv1.IngressClass) Ports {
	http, err := strconv.ParseUint(class.Annotations[HTTPPortAnnotation], 10, 16)
	https, err2 := strconv.ParseUint(class.Annotations[HTTPSPortAnnotation], 10, 16)
	if err != nil || err2 != nil {
		return Ports{}
	}
	return Ports{uint16(http), uint16(https)}
}

// Served asks the IngressClass where Ingresses are served: nowhere without one, or without ports in it.
func Served(ctx context.Context, client kubernetes.Interface) (Ports, error) {
	class, err := client.NetworkingV1().IngressClasses().Get(ctx, ClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Ports{}, nil
	}
	if err != nil {
		return Ports{}, fmt.Errorf("read IngressClass %s: %w", ClassName, err)
	}
	return PortsOf(class), nil
}

// portsBefore are those that were served last, also by a daemon before this one.
func (w *watcher) portsBefore() Ports {
	class, err := w.classes.Get(ClassName)
	if err != nil {
		return Ports{}
	}
	return PortsOf(class)
}

// classOf is the class that an Ingress names; "" if none.
func classOf(ingress *networkingv1.Ingress) string {
	return cmp.Or(ptr.Deref(ingress.Spec.IngressClassName, ""), ingress.Annotations[legacyClassAnnotation])
}

// legacyClassAnnotation named the class before spec.ingressClassName did.
const legacyClassAnnotation = "kubernetes.io/ingress.class"

// isOurs tells whether an Ingress is served here: one whose class names our controller, and one whose class is not there
// to name any, since manifests name the class of the cluster that they were written for.
func (w *watcher) isOurs(ingress *networkingv1.Ingress) bool {
	class, err := w.classes.Get(cmp.Or(classOf(ingress), ClassName))
	if err != nil { // listers know no other error than "not found"
		return true
	}
	if classOf(ingress) == "" && class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true" {
		return false
	}
	return class.Spec.Controller == Controller
}

// Retire removes what says that Ingresses are served, for an instance in which they are not: the IngressClass, and the
// status of Ingresses that names its ports. One of another class has such a status too, if that class was not there.
func Retire(ctx context.Context, client kubernetes.Interface) error {
	class, err := client.NetworkingV1().IngressClasses().Get(ctx, ClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && class.Spec.Controller != Controller {
		return nil
	}
	if err != nil {
		return fmt.Errorf("IngressClass %s: %w", ClassName, err)
	}
	all, err := client.NetworkingV1().Ingresses("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Ingresses: %w", err)
	}
	for _, ingress := range all.Items {
		told := ingress.Status.LoadBalancer.Ingress
		if len(told) == 0 || !slices.Equal(told[0].Ports, PortsOf(class).status()) {
			continue
		}
		_, err := client.NetworkingV1().Ingresses(ingress.Namespace).Patch(ctx, ingress.Name, types.MergePatchType,
			[]byte(`{"status":{"loadBalancer":{"ingress":null}}}`), metav1.PatchOptions{}, "status")
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("status of Ingress %s/%s: %w", ingress.Namespace, ingress.Name, err)
		}
	}
	if err := client.NetworkingV1().IngressClasses().Delete(ctx, ClassName, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("IngressClass %s: %w", ClassName, err)
	}
	return nil
}
