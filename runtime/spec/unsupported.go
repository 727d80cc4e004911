package spec

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// unsupportedField is a field of the Pod's spec that this agent ignores. Path is the
// field's JSON path below spec; a part `x[]` goes through every element of a list.
type unsupportedField struct {
	path string
	// harmless are the values, as fmt prints them, that ask for nothing which is not
	// done anyway.
	harmless []string
}

// unsupportedFields is every field that is ignored: a Pod that uses one gets an event
// that names it. A test walks the Pod's type and insists that each field is here or in
// its list of what is done. Whoever implements a field removes its row.
var unsupportedFields = []unsupportedField{
	{path: "resourceClaims"},

	{path: "securityContext.windowsOptions"},

	{path: "volumes[].projected.sources[].clusterTrustBundle"},
	{path: "volumes[].projected.sources[].podCertificate"},
	{path: "volumes[].awsElasticBlockStore"},
	{path: "volumes[].azureDisk"},
	{path: "volumes[].azureFile"},
	{path: "volumes[].cephfs"},
	{path: "volumes[].cinder"},
	{path: "volumes[].csi"},
	{path: "volumes[].fc"},
	{path: "volumes[].flexVolume"},
	{path: "volumes[].flocker"},
	{path: "volumes[].gcePersistentDisk"},
	{path: "volumes[].gitRepo"},
	{path: "volumes[].glusterfs"},
	{path: "volumes[].iscsi"},
	{path: "volumes[].nfs"},
	{path: "volumes[].photonPersistentDisk"},
	{path: "volumes[].portworxVolume"},
	{path: "volumes[].quobyte"},
	{path: "volumes[].rbd"},
	{path: "volumes[].scaleIO"},
	{path: "volumes[].storageos"},
	{path: "volumes[].vsphereVolume"},
}

// unsupportedContainerFields are those of every container and init container.
var unsupportedContainerFields = []unsupportedField{
	{path: "resources.claims"},
	{path: "securityContext.windowsOptions"},
}

// Unsupported lists the fields of a Pod's spec that are ignored, in the table's order.
func Unsupported(pod *v1.Pod) (paths []string) {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&pod.Spec)
	if err != nil { // cannot be: the API server encoded the same object
		return []string{"spec"}
	}
	for _, f := range unsupportedFields {
		paths = append(paths, f.find("spec", spec, strings.Split(f.path, "."))...)
	}
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, f := range unsupportedContainerFields {
			parts := append([]string{list + "[]"}, strings.Split(f.path, ".")...)
			paths = append(paths, f.find("spec", spec, parts)...)
		}
	}
	return paths
}

// find returns where below value the field is used.
func (f unsupportedField) find(at string, value any, parts []string) (paths []string) {
	if len(parts) == 0 {
		if f.inUse(value) {
			return []string{at}
		}
		return nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	name, each := strings.CutSuffix(parts[0], "[]")
	next, ok := object[name]
	if !ok {
		return nil
	}
	if !each {
		return f.find(at+"."+name, next, parts[1:])
	}
	elements, _ := next.([]any)
	for n, e := range elements {
		paths = append(paths, f.find(fmt.Sprintf("%s.%s[%d]", at, name, n), e, parts[1:])...)
	}
	return paths
}

// inUse tells whether a value asks for anything.
func (f unsupportedField) inUse(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case []any:
		return len(v) > 0
	case map[string]any:
		return true
	}
	text := fmt.Sprint(value)
	for _, h := range f.harmless {
		if text == h {
			return false
		}
	}
	return true
}
