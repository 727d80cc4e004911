package apiserver

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/informers"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
)

// unmetNeeds are the kinds that are stored but need something which is not here: who declares one
// is warned, as kubectl shows it. Each says what is missing, or nothing if the object does not
// need it. Whoever adds what is missing removes the line. Fields of Pods are the node agent's,
// which tells of them by events.
var unmetNeeds = map[schema.GroupResource]func(*warnings, runtime.Object) string{
	{Group: "networking.k8s.io", Resource: "ingresses"}: func(w *warnings, _ runtime.Object) string {
		if classes, err := w.ingressClasses.List(labels.Everything()); err != nil || len(classes) > 0 {
			return "" // somebody runs a controller
		}
		return "nothing here serves an Ingress: start kube-lite without --http-ports=off, or run an ingress controller"
	},
	{Group: "storage.k8s.io", Resource: "csidrivers"}: always("CSI drivers cannot be used here: pods cannot mount their volumes"),
}

// always is a need of all objects of a kind.
func always(sentence string) func(*warnings, runtime.Object) string {
	return func(*warnings, runtime.Object) string { return sentence }
}

// warningsPlugin is the plugin's name in the admission chain.
const warningsPlugin = "UnmetNeeds"

// warnings is an admission plugin that refuses nothing.
type warnings struct {
	*admission.Handler
	ingressClasses networkinglisters.IngressClassLister
}

var (
	_ admission.ValidationInterface                = &warnings{}
	_ initializer.WantsExternalKubeInformerFactory = &warnings{}
)

func registerWarnings(plugins *admission.Plugins) {
	plugins.Register(warningsPlugin, func(io.Reader) (admission.Interface, error) {
		return &warnings{Handler: admission.NewHandler(admission.Create, admission.Update)}, nil
	})
}

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (w *warnings) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	w.ingressClasses = f.Networking().V1().IngressClasses().Lister()
}

// ValidateInitialization implements admission.InitializationValidator.
func (w *warnings) ValidateInitialization() error { return nil }

// Validate implements admission.ValidationInterface. An update is told of only if it brings the
// need.
func (w *warnings) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	need, known := unmetNeeds[a.GetResource().GroupResource()]
	if !known || a.GetSubresource() != "" {
		return nil
	}
	sentence := need(w, a.GetObject())
	if sentence == "" || a.GetOldObject() != nil && need(w, a.GetOldObject()) != "" {
		return nil
	}
	warning.AddWarning(ctx, "", sentence)
	return nil
}
