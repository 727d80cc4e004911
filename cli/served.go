package cli

import (
	"context"
	"encoding/json"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
)

// served asks the running instance which kinds it serves. Each group and version
// is asked for once. What cannot be found out counts as served: kubectl asks again
// and says why.
type served struct {
	client discovery.DiscoveryInterface // nil if there is none to be had
	// resources by kind, for each group and version that was asked for; nil if the
	// server did not say.
	resources map[schema.GroupVersion]map[string]string
}

func newServed(kubeconfig string) *served {
	return &served{client: discoveryClient(kubeconfig), resources: make(map[schema.GroupVersion]map[string]string)}
}

// knows is manifest.Rules.Known.
func (s *served) knows(gvk schema.GroupVersionKind) bool {
	kinds := s.kinds(gvk.GroupVersion())
	return kinds == nil || kinds[gvk.Kind] != ""
}

// definition is manifest.Rules.Definition.
func (s *served) definition(gvk schema.GroupVersionKind) *apiextensionsv1.CustomResourceDefinition {
	resource := s.kinds(gvk.GroupVersion())[gvk.Kind]
	if resource == "" {
		return nil
	}
	text, err := s.client.RESTClient().Get().SetHeader("Accept", "application/json").
		AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", resource+"."+gvk.Group).DoRaw(context.Background())
	if err != nil {
		return nil // of an extension server
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if json.Unmarshal(text, crd) != nil {
		return nil
	}
	return crd
}

func (s *served) kinds(gv schema.GroupVersion) map[string]string {
	if _, ok := s.resources[gv]; !ok {
		s.resources[gv] = s.ask(gv)
	}
	return s.resources[gv]
}

func (s *served) ask(gv schema.GroupVersion) map[string]string {
	if s.client == nil {
		return nil
	}
	kinds := make(map[string]string)
	list, err := s.client.ServerResourcesForGroupVersion(gv.String())
	switch {
	case apierrors.IsNotFound(err):
		return kinds
	case err != nil:
		return nil
	}
	for _, r := range list.APIResources {
		if kinds[r.Kind] == "" { // subresources follow, some of the same kind
			kinds[r.Kind], kinds[r.Kind+"List"] = r.Name, r.Name
		}
	}
	return kinds
}

// discoveryClient is nil if there is no kubeconfig to make one of.
func discoveryClient(kubeconfig string) discovery.DiscoveryInterface {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil
	}
	return client
}
