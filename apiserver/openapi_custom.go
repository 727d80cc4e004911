package apiserver

import (
	"crypto/sha256"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// customAPI describes the kinds that users define.
type customAPI struct{ served *customResources }

// each visits the versions that are served, with the path at which their description is found, in the order of their names.
func (c customAPI) each(visit func(path string, crd *apiextensionsv1.CustomResourceDefinition, version string)) {
	for _, crd := range c.served.definitions() {
		for _, version := range servedVersions(crd) {
			visit("/apis/"+crd.Spec.Group+"/"+version, crd, version)
		}
	}
}

// tags returns a tag for each path: another one as soon as a definition changes.
func (c customAPI) tags(program string) map[string]string {
	tags := map[string]string{}
	c.each(func(path string, crd *apiextensionsv1.CustomResourceDefinition, _ string) {
		known := tags[path]
		if known == "" {
			known = program
		}
		tags[path] = fmt.Sprintf("%X", sha256.Sum256(fmt.Append(nil, known, crd.UID, crd.Generation)))
	})
	return tags
}

// addV3 adds a document for each group and version. A definition that cannot be described has none, as upstream has it.
func (c customAPI) addV3(to *handler3.OpenAPIService) {
	parts := map[string][]*spec3.OpenAPI{}
	c.each(func(path string, crd *apiextensionsv1.CustomResourceDefinition, version string) {
		if part, err := builder.BuildOpenAPIV3(crd, version, builder.Options{}); err == nil {
			parts[path] = append(parts[path], part)
		}
	})
	for path, documents := range parts {
		if whole, err := builder.MergeSpecsV3(documents...); err == nil {
			to.UpdateGroupVersion(path[1:], whole)
		}
	}
}

// mergeV2 returns the one document with the kinds in it.
func (c customAPI) mergeV2(static *spec.Swagger) *spec.Swagger {
	var parts []*spec.Swagger
	c.each(func(_ string, crd *apiextensionsv1.CustomResourceDefinition, version string) {
		if part, err := builder.BuildOpenAPIV2(crd, version, builder.Options{V2: true}); err == nil {
			parts = append(parts, part)
		}
	})
	whole, err := builder.MergeSpecs(static, parts...)
	if err != nil {
		return static
	}
	return whole
}
