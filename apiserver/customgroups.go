package apiserver

import (
	"slices"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery"
)

// customGroups lists the groups of custom resources at /apis, for clients that do not ask for all kinds in one document.
type customGroups struct {
	custom customAPI
	to     discovery.GroupManager

	mu     sync.Mutex // guards listed
	listed []string
}

// update lists the groups that are served now.
func (g *customGroups) update() {
	versions := map[string][]string{}
	g.custom.each(func(_ string, crd *apiextensionsv1.CustomResourceDefinition, version string) {
		if group := crd.Spec.Group; !slices.Contains(versions[group], version) {
			versions[group] = append(versions[group], version)
		}
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, group := range g.listed {
		if versions[group] == nil {
			g.to.RemoveGroup(group)
		}
	}
	g.listed = nil
	for group, served := range versions {
		g.to.AddGroup(apiGroup(group, served))
		g.listed = append(g.listed, group)
	}
}

// apiGroup has the versions in the order in which clients prefer them.
func apiGroup(name string, versions []string) metav1.APIGroup {
	slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	group := metav1.APIGroup{Name: name}
	for _, v := range versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	group.PreferredVersion = group.Versions[0]
	return group
}
