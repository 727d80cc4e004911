package apiserver

import (
	"fmt"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	controlplaneadmission "k8s.io/kubernetes/pkg/controlplane/apiserver/admission"
	"k8s.io/kubernetes/pkg/kubeapiserver/admission/exclusion"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/kubernetes/plugin/pkg/admission/network/defaultingressclass"
	"k8s.io/kubernetes/plugin/pkg/admission/noderestriction"
	"k8s.io/kubernetes/plugin/pkg/admission/podtopologylabels"
	"k8s.io/kubernetes/plugin/pkg/admission/priority"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/persistentvolume/resize"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageclass/setdefault"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection"
)

// admissionPlugin is one step of the chain.
type admissionPlugin struct {
	name     string
	register func(*admission.Plugins)
}

// admissionChain is the part of kube-apiserver's default chain that has what it needs behind it, in upstream's order, and
// warnings of ours: quotas are last, since what another step refuses must not be counted.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
func admissionChain() []admissionPlugin {
	return []admissionPlugin{
		{lifecycle.PluginName, lifecycle.Register},
		{limitranger.PluginName, limitranger.Register},
		{serviceaccount.PluginName, serviceaccount.Register},
		{noderestriction.PluginName, noderestriction.Register},
		{priority.PluginName, priority.Register},
		{defaulttolerationseconds.PluginName, defaulttolerationseconds.Register},
		{setdefault.PluginName, setdefault.Register},
		{storageobjectinuseprotection.PluginName, storageobjectinuseprotection.Register},
		{resize.PluginName, resize.Register},
		{runtimeclass.PluginName, runtimeclass.Register},
		{defaultingressclass.PluginName, defaultingressclass.Register},
		{podtopologylabels.PluginName, podtopologylabels.Register},
		{warningsPlugin, registerWarnings},
		{resourcequota.PluginName, resourcequota.Register},
	}
}

func (s *Server) admission(c *genericapiserver.Config) (admission.Interface, error) {
	plugins := admission.NewPlugins()
	var order []string
	for _, p := range admissionChain() {
		p.register(plugins)
		order = append(order, p.name)
	}
	configs, err := admission.ReadAdmissionConfiguration(order, "", nil)
	if err != nil {
		return nil, fmt.Errorf("apiserver: admission configuration: %w", err)
	}
	quotas, err := quotainstall.NewQuotaConfigurationForAdmission(s.shared, enabledVersions())
	if err != nil {
		return nil, fmt.Errorf("apiserver: quotas: %w", err)
	}
	chain, err := plugins.NewFromPlugins(order, configs, admission.PluginInitializers{
		initializer.New(s.client, nil, s.shared, c.Authorization.Authorizer,
			utilfeature.DefaultFeatureGate, c.EffectiveVersion, c.DrainedNotify(), nil),
		controlplaneadmission.NewPluginInitializer(quotas, exclusion.Excluded()),
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("apiserver: admission: %w", err)
	}
	return chain, nil
}
