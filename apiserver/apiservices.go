package apiserver

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kube-aggregator/pkg/controllers/autoregister"
	apiservicestorage "k8s.io/kube-aggregator/pkg/registry/apiservice/etcd"
	apiservicerest "k8s.io/kube-aggregator/pkg/registry/apiservice/rest"
	"k8s.io/metrics/pkg/apis/metrics"

	"github.com/kube-lite/kube-lite/store"
)

// Values of autoregister.AutoRegisterManagedLabel: which APIServices are a server's own.
const (
	managedBuiltin = "onstart"
	managedCustom  = "true"
)

// groupPriorities order the groups in discovery, the highest first, as on a kube-apiserver.
var groupPriorities = map[string]int32{
	"": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
	"autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
	"rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
	"admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500, "node.k8s.io": 16300,
	"discovery.k8s.io": 16200, "resource.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100,
	metrics.GroupName:         100, // metrics-server's
	apiregistration.GroupName: 20001,
}

// versionPriorities are those of versions that a kube-apiserver ranks otherwise than by defaultVersionPriority.
var versionPriorities = map[schema.GroupVersion]int32{
	{Group: "", Version: "v1"}:                             1,
	{Group: "autoscaling", Version: "v2"}:                  30,
	{Group: "flowcontrol.apiserver.k8s.io", Version: "v1"}: 21,
	{Group: "resource.k8s.io", Version: "v1"}:              21,
	{Group: metrics.GroupName, Version: "v1beta1"}:         100,
}

const (
	defaultGroupPriority   = 15000 // below all of the above that are Kubernetes' own
	defaultVersionPriority = 15
	customGroupPriority    = 1000
	customVersionPriority  = 100
)

// aggregatorOptions are those of APIServices.
func aggregatorOptions(db *store.Store) restOptions {
	return restOptions{db, aggregatorscheme.Scheme, aggregatorscheme.Codecs}
}

// registrationGroup serves APIServices.
func (s *Server) registrationGroup() *genericapiserver.APIGroupInfo {
	group := apiservicerest.NewRESTStorage(aggregator.DefaultAPIResourceConfigSource(), aggregatorOptions(s.cfg.Store), false)
	return &group
}

// apiServices keeps the APIServices of the groups that this server has itself. It works on their registry: as requests
// they would cost a first start more.
type apiServices struct {
	registry *apiservicestorage.REST
	mu       sync.Mutex // held while they are compared and written
}

func newAPIServices(db *store.Store) *apiServices {
	return &apiServices{registry: apiservicestorage.NewREST(aggregatorscheme.Scheme, aggregatorOptions(db))}
}

// ownGroups are the APIServices of what this server serves itself, by name: built-in groups, and those of custom resources.
func (s *Server) ownGroups() map[string]*apiregistration.APIService {
	own := map[string]*apiregistration.APIService{}
	for _, path := range s.openAPI.paths {
		if gv, ok := pathVersion(path); ok && gv.Group != apiregistration.GroupName {
			addOwn(own, gv, builtinPriority(gv), managedBuiltin)
		}
	}
	s.openAPI.custom.each(func(_ string, crd *apiextensionsv1.CustomResourceDefinition, version string) {
		gv := schema.GroupVersion{Group: crd.Spec.Group, Version: version}
		addOwn(own, gv, priorities{customGroupPriority, customVersionPriority}, managedCustom)
	})
	return own
}

// priorities are those of a group and of one of its versions.
type priorities struct{ group, version int32 }

func builtinPriority(gv schema.GroupVersion) priorities {
	p := priorities{defaultGroupPriority, defaultVersionPriority}
	if known, ok := groupPriorities[gv.Group]; ok {
		p.group = known
	}
	if known, ok := versionPriorities[gv]; ok {
		p.version = known
	}
	return p
}

func addOwn(to map[string]*apiregistration.APIService, gv schema.GroupVersion, p priorities, managed string) {
	name := gv.Version + "." + gv.Group
	to[name] = &apiregistration.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{autoregister.AutoRegisterManagedLabel: managed}},
		Spec: apiregistration.APIServiceSpec{
			Group: gv.Group, Version: gv.Version, GroupPriorityMinimum: p.group, VersionPriority: p.version,
		},
	}
}

// rankGroups puts built-in groups before those of users in the document of all kinds: clients take the first kind of a name.
func (s *Server) rankGroups() {
	for _, path := range s.openAPI.paths {
		if gv, ok := pathVersion(path); ok {
			p := builtinPriority(gv)
			s.generic.AggregatedDiscoveryGroupManager.SetGroupVersionPriority(metav1.GroupVersion(gv), int(p.group), int(p.version))
		}
	}
}

// pathVersion is the group and version that is served at a path such as /apis/apps/v1.
func pathVersion(path string) (schema.GroupVersion, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) == 2 && parts[0] == "api":
		return schema.GroupVersion{Version: parts[1]}, true
	case len(parts) == 3 && parts[0] == "apis":
		return schema.GroupVersion{Group: parts[1], Version: parts[2]}, true
	}
	return schema.GroupVersion{}, false
}

// register makes the APIServices what own says. Those that lead to another server are left alone: a user has put one in the
// place of this server's own. Registering again when it is gone brings the own one back; one that is still served stays out, and is
// counted as late.
func (a *apiServices) register(ctx context.Context, own map[string]*apiregistration.APIService, served func(schema.GroupVersion) bool) (late int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx = genericapirequest.WithNamespace(ctx, metav1.NamespaceNone)
	list, err := a.registry.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list APIServices: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(ensureWorkers)
	have := map[string]bool{}
	for _, is := range list.(*apiregistration.APIServiceList).Items {
		have[is.Name] = true
		if is.Spec.Service == nil && is.Labels[autoregister.AutoRegisterManagedLabel] != "" {
			group.Go(func() error { return a.adjust(ctx, &is, own[is.Name]) })
		}
	}
	for name, want := range own {
		switch {
		case have[name]:
		case served(schema.GroupVersion{Group: want.Spec.Group, Version: want.Spec.Version}):
			late++
		default:
			group.Go(func() error { return a.create(ctx, want) })
		}
	}
	return late, group.Wait()
}

func (a *apiServices) create(ctx context.Context, want *apiregistration.APIService) error {
	_, err := a.registry.Create(ctx, want, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create APIService %s: %w", want.Name, err)
	}
	return nil
}

// adjust deletes what is served no longer. A conflict is another's change, after which it is called again.
func (a *apiServices) adjust(ctx context.Context, is, want *apiregistration.APIService) (err error) {
	switch {
	case want == nil:
		_, _, err = a.registry.Delete(ctx, is.Name, rest.ValidateAllObjectFunc, metav1.NewPreconditionDeleteOptions(string(is.UID)))
	case is.Spec.GroupPriorityMinimum != want.Spec.GroupPriorityMinimum || is.Spec.VersionPriority != want.Spec.VersionPriority:
		is.Spec = want.Spec
		_, _, err = a.registry.Update(ctx, is.Name, rest.DefaultUpdatedObjectInfo(is),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("adjust APIService %s: %w", is.Name, err)
	}
	return nil
}
