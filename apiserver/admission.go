package apiserver

import (
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	controlplaneadmission "k8s.io/kubernetes/pkg/controlplane/apiserver/admission"
	"k8s.io/kubernetes/pkg/kubeapiserver/admission/exclusion"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
	certapproval "k8s.io/kubernetes/plugin/pkg/admission/certificates/approval"
	"k8s.io/kubernetes/plugin/pkg/admission/certificates/ctbattest"
	certsigning "k8s.io/kubernetes/plugin/pkg/admission/certificates/signing"
	certsubject "k8s.io/kubernetes/plugin/pkg/admission/certificates/subjectrestriction"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	jobadmission "k8s.io/kubernetes/plugin/pkg/admission/job"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/kubernetes/plugin/pkg/admission/network/defaultingressclass"
	"k8s.io/kubernetes/plugin/pkg/admission/nodedeclaredfeatures"
	"k8s.io/kubernetes/plugin/pkg/admission/noderestriction"
	"k8s.io/kubernetes/plugin/pkg/admission/nodetaint"
	"k8s.io/kubernetes/plugin/pkg/admission/podgroup"
	"k8s.io/kubernetes/plugin/pkg/admission/podresize"
	"k8s.io/kubernetes/plugin/pkg/admission/podtopologylabels"
	"k8s.io/kubernetes/plugin/pkg/admission/priority"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"k8s.io/kubernetes/plugin/pkg/admission/scheduling/podgroupprotection"
	"k8s.io/kubernetes/plugin/pkg/admission/security/podsecurity"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/persistentvolume/resize"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageclass/setdefault"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection"
)

// admissionPlugin is one step of the chain.
type admissionPlugin struct {
	name     string
	register func(*admission.Plugins)
	// reads are the resources without whose objects the step has nothing to do: it is built when the first is there (see
	// onFirstUse). None: it is built at once.
	reads []schema.GroupResource
}

// admissionChain is kube-apiserver's default chain in upstream's order: webhooks and policies see what the steps before
// them made of an object, warnings of ours what all of them made of it, and quotas are last, since what another step
// refuses must not be counted.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
func admissionChain() []admissionPlugin {
	return []admissionPlugin{
		{lifecycle.PluginName, lifecycle.Register, nil},
		{limitranger.PluginName, limitranger.Register, nil},
		{serviceaccount.PluginName, serviceaccount.Register, nil},
		{noderestriction.PluginName, noderestriction.Register, nil},
		// The first Node has nobody beside it to take the taint off again: the controller that does waits for a second one,
		// or for trouble with the first, and costs half as much at rest as all others together.
		{nodetaint.PluginName, nodetaint.Register, []schema.GroupResource{corev1.Resource("nodes")}},
		{podsecurity.PluginName, podsecurity.Register, nil},
		{priority.PluginName, priority.Register, nil},
		{defaulttolerationseconds.PluginName, defaulttolerationseconds.Register, nil},
		{setdefault.PluginName, setdefault.Register, nil},
		{storageobjectinuseprotection.PluginName, storageobjectinuseprotection.Register, nil},
		{podgroupprotection.PluginName, podgroupprotection.Register, nil},
		{resize.PluginName, resize.Register, nil},
		{runtimeclass.PluginName, runtimeclass.Register, nil},
		{certapproval.PluginName, certapproval.Register, nil},
		{certsigning.PluginName, certsigning.Register, nil},
		{ctbattest.PluginName, ctbattest.Register, nil},
		{certsubject.PluginName, certsubject.Register, nil},
		{defaultingressclass.PluginName, defaultingressclass.Register, nil},
		{podtopologylabels.PluginName, podtopologylabels.Register, nil},
		{podgroup.PluginName, podgroup.Register, nil},
		{nodedeclaredfeatures.PluginName, nodedeclaredfeatures.Register, nil},
		{jobadmission.PluginName, jobadmission.Register, nil},
		{podresize.PluginName, podresize.Register, nil},
		{mutatingpolicy.PluginName, mutatingpolicy.Register, registrations("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")},
		{mutatingwebhook.PluginName, mutatingwebhook.Register, registrations("mutatingwebhookconfigurations")},
		{validatingpolicy.PluginName, validatingpolicy.Register, registrations("validatingadmissionpolicies", "validatingadmissionpolicybindings")},
		{validatingwebhook.PluginName, validatingwebhook.Register, registrations("validatingwebhookconfigurations")},
		{warningsPlugin, registerWarnings, nil},
		{resourcequota.PluginName, resourcequota.Register, []schema.GroupResource{corev1.Resource("resourcequotas")}},
	}
}

func (s *Server) admission(c *genericapiserver.Config) (admission.Interface, error) {
	quotas, err := quotainstall.NewQuotaConfigurationForAdmission(s.shared, enabledVersions())
	if err != nil {
		return nil, fmt.Errorf("apiserver: quotas: %w", err)
	}
	upstreams := controlplaneadmission.NewPluginInitializer(quotas, exclusion.Excluded())
	always := admission.PluginInitializers{
		initializer.New(s.client, nil, podsOnDemand{s.shared, s.client}, c.Authorization.Authorizer,
			utilfeature.DefaultFeatureGate, c.EffectiveVersion, c.DrainedNotify(), nil),
		upstreams,
	}
	later, err := s.lateSteps(c, upstreams)
	if err != nil {
		return nil, err
	}
	plugins := admission.NewPlugins()
	var order []string
	for _, p := range admissionChain() {
		if p.reads == nil {
			p.register(plugins)
		} else {
			later.register(plugins, p)
		}
		order = append(order, p.name)
	}
	configs, err := admission.ReadAdmissionConfiguration(order, "", nil)
	if err != nil {
		return nil, fmt.Errorf("apiserver: admission configuration: %w", err)
	}
	chain, err := plugins.NewFromPlugins(order, configs, always, nil)
	if err != nil {
		return nil, fmt.Errorf("apiserver: admission: %w", err)
	}
	return chain, nil
}

// registrations are resources of admissionregistration.k8s.io.
func registrations(resources ...string) (all []schema.GroupResource) {
	for _, r := range resources {
		all = append(all, schema.GroupResource{Group: admissionregistrationv1.GroupName, Resource: r})
	}
	return all
}

// holds is whether there are objects of one of these resources.
func (s *Server) holds(resources []schema.GroupResource) bool {
	return slices.ContainsFunc(resources, func(r schema.GroupResource) bool { return s.cfg.Store.Count(resourcePrefix(r)) > 0 })
}
