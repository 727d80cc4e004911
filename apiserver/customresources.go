package apiserver

import (
	"fmt"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	crdinformers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/webhook"

	"github.com/kube-lite/kube-lite/store"
)

// newExtensions composes the server of CustomResourceDefinitions and of what they define. It answers what the server of
// built-in kinds does not know. c is that server's configuration, before it is completed.
// https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/
func (s *Server) newExtensions(c genericapiserver.Config) (*extensions.CustomResourceDefinitions, error) {
	c.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{} // not those of the other server again
	c.RESTOptionsGetter = restOptions{store: s.cfg.Store, scheme: extensions.Scheme, codecs: extensions.Codecs}
	c.MergedResourceConfig = serverstorage.NewResourceConfig()
	c.MergedResourceConfig.EnableVersions(apiextensionsv1.SchemeGroupVersion)
	config := extensions.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: c, SharedInformerFactory: s.shared},
		ExtraConfig: extensions.ExtraConfig{
			CRDRESTOptionsGetter: customOptions{s.cfg.Store},
			MasterCount:          1,
			ServiceResolver:      s.services,
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, s.loopback, nil),
		},
	}
	server, err := config.Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("apiserver: compose custom resources: %w", err)
	}
	definitions := server.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer()
	if err := definitions.SetTransform(establishedEarlier); err != nil {
		return nil, fmt.Errorf("apiserver: informer of CustomResourceDefinitions: %w", err)
	}
	return server, nil
}

// agreement is how long upstream holds the first objects of a new kind back: until every other API server of the cluster
// knows the kind.
const agreement = 2 * time.Second

// establishedEarlier takes that wait away, as there is no other server: to the handlers, a CustomResourceDefinition was
// established that much earlier.
func establishedEarlier(obj any) (any, error) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return obj, nil
	}
	past := metav1.NewTime(time.Now().Add(-agreement))
	for n := range crd.Status.Conditions {
		c := &crd.Status.Conditions[n]
		if c.Type == apiextensionsv1.Established && past.Before(&c.LastTransitionTime) {
			c.LastTransitionTime = past
		}
	}
	return crd, nil
}

// definitions are the kinds that users define.
func (s *Server) definitions() crdinformers.CustomResourceDefinitionInformer {
	return s.extensions.Informers.Apiextensions().V1().CustomResourceDefinitions()
}

// customOptions tells the registries of custom resources where their objects live: as JSON, in the version that the
// definition says, which the registries add to the codec.
type customOptions struct{ store *store.Store }

// GetRESTOptions is generic.RESTOptionsGetter.
func (o customOptions) GetRESTOptions(r schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return generic.RESTOptions{
		StorageConfig:           (&storagebackend.Config{Codec: unstructured.UnstructuredJSONScheme}).ForResource(r),
		Decorator:               o.store.Decorator(),
		ResourcePrefix:          "/" + r.Resource + suffix(r.Group),
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: deleteWorkers,
	}, nil
}

// servedVersions are the versions of an established definition that clients can use.
func servedVersions(crd *apiextensionsv1.CustomResourceDefinition) (versions []string) {
	established := slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	for _, v := range crd.Spec.Versions {
		if established && v.Served {
			versions = append(versions, v.Name)
		}
	}
	return versions
}
