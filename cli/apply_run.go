package cli

import (
	"slices"

	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kubectl/pkg/cmd/apply"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// runApply makes the command run kubectl's apply with what kubectl's own lacks: a
// CustomResourceDefinition or a Namespace may stand in the same files or kustomization
// as its objects, in any order, and an API's description is parsed once, not for each
// object.
func runApply(c *cobra.Command, f cmdutil.Factory, streams genericiooptions.IOStreams) {
	flags := apply.NewApplyFlags(streams)
	c.ResetFlags()
	flags.AddFlags(c)
	c.Run = func(c *cobra.Command, args []string) {
		o, err := flags.ToOptions(f, c, programName, args)
		cmdutil.CheckErr(err)
		cmdutil.CheckErr(o.Validate())
		if o.OpenAPIV3Root != nil {
			o.OpenAPIV3Root = &parsedOnce{Root: o.OpenAPIV3Root, specs: make(map[schema.GroupVersion]*spec3.OpenAPI)}
		}
		cmdutil.CheckErr(applyInOrder(o))
	}
}

// applyInOrder applies the objects, those first that others need.
func applyInOrder(o *apply.ApplyOptions) error {
	infos, err := o.GetObjects() // may be both: what can be sent is sent
	if len(infos) == 0 {
		if err == nil {
			err = o.Run() // says that there is nothing
		}
		return err
	}
	slices.SortStableFunc(infos, func(a, b *resource.Info) int { return rank(a) - rank(b) })
	o.SetObjects(infos)
	if err == nil {
		return o.Run()
	}
	o.PostProcessorFn = nil // prunes, which only a run without errors may
	if failed := o.Run(); failed != nil {
		return utilerrors.NewAggregate([]error{err, failed})
	}
	return err
}

func rank(info *resource.Info) int { return rankOf(info.Mapping.GroupVersionKind.GroupKind()) }

// definitionKind is the kind of definitions.
var definitionKind = schema.GroupKind{Group: apiextensionsv1.GroupName, Kind: "CustomResourceDefinition"}

func rankOf(kind schema.GroupKind) int {
	switch kind {
	case definitionKind:
		return 0
	case schema.GroupKind{Kind: "Namespace"}:
		return 1
	}
	return 2
}

// parsedOnce remembers the descriptions of API groups.
type parsedOnce struct {
	openapi3.Root
	specs map[schema.GroupVersion]*spec3.OpenAPI
}

// GVSpec is openapi3.Root's.
func (p *parsedOnce) GVSpec(gv schema.GroupVersion) (*spec3.OpenAPI, error) {
	if spec := p.specs[gv]; spec != nil {
		return spec, nil
	}
	spec, err := p.Root.GVSpec(gv)
	if err == nil {
		p.specs[gv] = spec
	}
	return spec, err
}

// definitions are those of the kinds that a verb's own objects are of.
type definitions struct {
	files []*apiextensionsv1.CustomResourceDefinition // what -f names
	// kustomization is what -k names; "" if nothing. It is built only for a kind that nobody else knows: it may be a
	// repository that has to be cloned for it.
	kustomization string
}

// defining is a RESTClientGetter that knows the kinds which the objects at hand
// define, before the server does.
type defining struct {
	genericclioptions.RESTClientGetter
	*definitions
}

// ToRESTMapper is genericclioptions.RESTClientGetter's.
func (d defining) ToRESTMapper() (meta.RESTMapper, error) {
	mapper, err := d.RESTClientGetter.ToRESTMapper()
	if err != nil {
		return nil, err
	}
	all := meta.MultiRESTMapper{mapperOf(d.files), mapper}
	if d.kustomization != "" {
		all = append(all, meta.NewLazyRESTMapperLoader(func() (meta.RESTMapper, error) {
			crds, err := kustomized(d.kustomization)
			return mapperOf(crds), err
		}))
	}
	return meta.FirstHitRESTMapper{MultiRESTMapper: all}, nil
}

// mapperOf maps the kinds that are defined.
func mapperOf(crds []*apiextensionsv1.CustomResourceDefinition) meta.RESTMapper {
	defined := meta.NewDefaultRESTMapper(nil)
	for _, crd := range crds {
		scope := meta.RESTScope(meta.RESTScopeRoot)
		if crd.Spec.Scope == apiextensionsv1.NamespaceScoped {
			scope = meta.RESTScopeNamespace
		}
		for _, v := range crd.Spec.Versions {
			gv := schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name}
			defined.AddSpecific(gv.WithKind(crd.Spec.Names.Kind), gv.WithResource(crd.Spec.Names.Plural), gv.WithResource(crd.Spec.Names.Singular), scope)
		}
	}
	return defined
}

// kustomized builds a kustomization as kubectl does, and returns the definitions in it, as far as they can be read.
func kustomized(dir string) (crds []*apiextensionsv1.CustomResourceDefinition, err error) {
	infos, err := resource.NewLocalBuilder().Unstructured().
		FilenameParam(false, &resource.FilenameOptions{Kustomize: dir}).Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		o, ok := info.Object.(*unstructured.Unstructured)
		if !ok || o.GroupVersionKind().GroupKind() != definitionKind {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, crd) == nil {
			crds = append(crds, crd)
		}
	}
	return crds, nil
}
