package apiserver

import (
	"reflect"

	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/printers"
	printersinternal "k8s.io/kubernetes/pkg/printers/internalversion"
	printerstorage "k8s.io/kubernetes/pkg/printers/storage"
)

// tables makes the tables that kubectl prints. Each of upstream's registries comes with a generator of its own, which knows the columns of
// all kinds: 3 MB in sixty copies.
type tables struct {
	shared *printers.HumanReadableGenerator
}

func newTables() tables {
	return tables{printers.NewTableGenerator().With(printersinternal.AddHandlers)}
}

// share has the registries of a group print by the one generator; so do their copies, such as those of the subresource status.
func (t tables) share(group map[string]map[string]rest.Storage) {
	for _, version := range group {
		for _, storage := range version {
			if own := generatorOf(storage); own != nil {
				*own = *t.shared
			}
		}
	}
}

// generatorOf is nil for what is no registry of upstream's, or prints otherwise.
func generatorOf(storage rest.Storage) *printers.HumanReadableGenerator {
	value := reflect.Indirect(reflect.ValueOf(storage))
	if value.Kind() != reflect.Struct {
		return nil
	}
	field := value.FieldByName("Store") // embedded
	if !field.IsValid() || !field.CanInterface() {
		return nil
	}
	store, ok := field.Interface().(*genericregistry.Store)
	if !ok || store == nil {
		return nil
	}
	convertor, _ := store.TableConvertor.(printerstorage.TableConvertor)
	own, _ := convertor.TableGenerator.(*printers.HumanReadableGenerator)
	return own
}
