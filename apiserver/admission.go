package apiserver

import (
	"fmt"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/kubernetes/plugin/pkg/admission/network/defaultingressclass"
	"k8s.io/kubernetes/plugin/pkg/admission/priority"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageclass/setdefault"
)

// admissionOrder is the part of kube-apiserver's default chain that has what it needs
// behind it, in upstream's order.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
var admissionOrder = []string{
	lifecycle.PluginName,
	limitranger.PluginName,
	serviceaccount.PluginName,
	priority.PluginName,
	defaulttolerationseconds.PluginName,
	setdefault.PluginName,
	runtimeclass.PluginName,
	defaultingressclass.PluginName,
}

func (s *Server) admission(c *genericapiserver.Config) (admission.Interface, error) {
	plugins := admission.NewPlugins()
	lifecycle.Register(plugins)
	limitranger.Register(plugins)
	serviceaccount.Register(plugins)
	priority.Register(plugins)
	defaulttolerationseconds.Register(plugins)
	setdefault.Register(plugins)
	runtimeclass.Register(plugins)
	defaultingressclass.Register(plugins)

	configs, err := admission.ReadAdmissionConfiguration(admissionOrder, "", nil)
	if err != nil {
		return nil, fmt.Errorf("apiserver: admission configuration: %w", err)
	}
	chain, err := plugins.NewFromPlugins(admissionOrder, configs,
		initializer.New(s.client, nil, s.shared, c.Authorization.Authorizer,
			utilfeature.DefaultFeatureGate, c.EffectiveVersion, c.DrainedNotify(), nil), nil)
	if err != nil {
		return nil, fmt.Errorf("apiserver: admission: %w", err)
	}
	return chain, nil
}
