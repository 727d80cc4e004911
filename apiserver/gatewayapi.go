package apiserver

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // the definitions
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiextensionsinternal "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// gatewayGroup is the group of Gateway API.
const gatewayGroup = "gateway.networking.k8s.io"

// gatewayManager owns the one label of the definitions that are ours: nobody who applies others is in conflict with it.
const gatewayManager = "kube-lite"

// managedBy is that label.
const managedBy = "app.kubernetes.io/managed-by"

// gatewayKinds is how many definitions are ours. Fewer are there when the daemon was killed while it stored them.
const gatewayKinds = 10

// gatewayLimit is how long the first request may wait until the definitions are served.
const gatewayLimit = 55 * time.Second // less than the server gives a request

// gatewayDefinitionsFile is a list of the CustomResourceDefinitions of Gateway API's standard channel, as they are in the
// module sigs.k8s.io/gateway-api that conformance/gateway/go.mod names. "go test ./apiserver -run TestGatewayDefinitions -update" makes it.
//
//go:embed data/gateway-api.json.gz
var gatewayDefinitionsFile []byte

// gatewayAPI has the kinds of Gateway API there for who asks for them. Discovery lists them from the start; the definitions
// are stored when the first request for one comes from outside this process, since together with upstream's server of custom
// resources they take as much memory as all else does. Whoever brings definitions of the group has those: none of ours is
// stored beside them. See docs/decisions/gateway-api-on-demand.md.
type gatewayAPI struct {
	custom *customResources

	// absent tells that no definition of the group is served, or not all of ours.
	absent atomic.Bool
	// mu lets one request store the definitions.
	mu sync.Mutex
}

func newGatewayAPI(custom *customResources) *gatewayAPI {
	g := &gatewayAPI{custom: custom}
	g.absent.Store(true)
	return g
}

// update notes whether definitions of the group are served.
func (g *gatewayAPI) update() {
	ours, theirs := 0, 0
	for _, crd := range g.custom.definitions() {
		switch {
		case crd.Spec.Group != gatewayGroup:
		case crd.Labels[managedBy] == gatewayManager:
			ours++
		default:
			theirs++
		}
	}
	g.absent.Store(theirs == 0 && ours < gatewayKinds)
}

// wants tells whether a request asks for the group while there is nothing of it. The loops of this process do not: upstream's
// collector of garbage would ask for every kind that there could be.
func (g *gatewayAPI) wants(r *http.Request) bool {
	return g.absent.Load() && !inMemory(r.Context()) && strings.HasPrefix(r.URL.Path+"/", "/apis/"+gatewayGroup+"/")
}

// ensure returns when there are definitions of the group. Those that somebody else has stored are left alone.
func (g *gatewayAPI) ensure(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.absent.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatewayLimit) // whoever comes next needs them too
	defer cancel()
	stored, err := g.theirs(ctx)
	if err == nil && len(stored) == 0 {
		stored, err = g.store(ctx)
	}
	if err != nil {
		return err
	}
	err = wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) { return g.served(ctx, stored), nil })
	if err != nil {
		return fmt.Errorf("the definitions of %s are not served: %w", gatewayGroup, err)
	}
	g.update()
	return nil
}

// theirs are the names of the definitions of the group that somebody else has stored.
func (g *gatewayAPI) theirs(ctx context.Context) (names []string, err error) {
	all, err := g.custom.registry.List(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list CustomResourceDefinitions: %w", err)
	}
	for _, crd := range all.(*apiextensionsinternal.CustomResourceDefinitionList).Items {
		if crd.Spec.Group == gatewayGroup && crd.Labels[managedBy] != gatewayManager {
			names = append(names, crd.Name)
		}
	}
	return names, nil
}

// store stores our definitions, and returns their names.
func (g *gatewayAPI) store(ctx context.Context) (names []string, err error) {
	definitions, err := gatewayDefinitions()
	if err != nil {
		return nil, err
	}
	ctx = genericapirequest.WithNamespace(ctx, metav1.NamespaceNone)
	for _, raw := range definitions {
		decoded, err := runtime.Decode(extensions.Codecs.UniversalDecoder(), raw)
		if err != nil {
			return nil, fmt.Errorf("decode a definition of %s: %w", gatewayGroup, err)
		}
		crd := decoded.(*apiextensionsinternal.CustomResourceDefinition)
		markOurs(crd)
		_, err = g.custom.registry.Create(ctx, crd, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("store the definition %s: %w", crd.Name, err)
		}
		names = append(names, crd.Name)
	}
	return names, nil
}

// markOurs says who made a definition, and that nobody insists on any other field of it: upstream's own manifests and those
// of Helm charts can be applied over it without conflicts.
func markOurs(crd *apiextensionsinternal.CustomResourceDefinition) {
	if crd.Labels == nil {
		crd.Labels = map[string]string{}
	}
	crd.Labels[managedBy] = gatewayManager
	now := metav1.Now()
	crd.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: gatewayManager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &now,
		APIVersion: apiextensionsv1.SchemeGroupVersion.String(), FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:` + managedBy + `":{}}}}`),
	}}
}

// served tells whether clients can use the definitions of these names, and discovery lists what they define.
func (g *gatewayAPI) served(ctx context.Context, names []string) bool {
	for _, crd := range g.custom.definitions() {
		if !slices.Contains(names, crd.Name) {
			continue
		}
		versions := servedVersions(crd)
		if len(versions) == 0 || !g.listed(ctx, crd.Spec.Names.Plural, versions[0]) {
			return false
		}
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == crd.Name })
	}
	return len(names) == 0
}

func (g *gatewayAPI) listed(ctx context.Context, resource, version string) bool {
	var list metav1.APIResourceList
	path := "/apis/" + gatewayGroup + "/" + version
	answer, err := g.custom.server.client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	return err == nil && json.Unmarshal(answer, &list) == nil &&
		slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource })
}

// gatewayDefinitions are ours, as JSON.
func gatewayDefinitions() ([]json.RawMessage, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(gatewayDefinitionsFile))
	if err != nil {
		return nil, fmt.Errorf("definitions of %s: %w", gatewayGroup, err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil {
		return nil, fmt.Errorf("definitions of %s: %w", gatewayGroup, err)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("definitions of %s: %w", gatewayGroup, err)
	}
	return all, nil
}
