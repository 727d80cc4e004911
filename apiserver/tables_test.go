package apiserver

import (
	"reflect"
	"testing"
)

// All registries print by one table of columns.
func TestTablesAreShared(t *testing.T) {
	s := serve(t, t.TempDir())
	c, err := s.genericConfig()
	if err != nil {
		t.Fatal(err)
	}
	core, err := s.coreGroup(enabledVersions(), c)
	if err != nil {
		t.Fatal(err)
	}
	tables := newTables()
	tables.share(core.VersionedResourcesStorageMap)
	handlers := func(of any) uintptr { return reflect.ValueOf(of).Elem().FieldByName("handlerMap").Pointer() }
	shared, found := handlers(tables.shared), map[string]bool{}
	for name, storage := range core.VersionedResourcesStorageMap["v1"] {
		if own := generatorOf(storage); own != nil {
			found[name] = true
			if handlers(own) != shared {
				t.Errorf("%s has columns of its own", name)
			}
		}
	}
	for _, name := range []string{"pods", "services", "nodes", "configmaps", "persistentvolumeclaims"} {
		if !found[name] {
			t.Errorf("the registry of %s was not found", name)
		}
	}
}
