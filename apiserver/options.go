package apiserver

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"github.com/kube-lite/kube-lite/store"
)

// deleteWorkers is how many objects a delete of a whole collection removes at
// a time: their fsyncs then share groups.
const deleteWorkers = 8

// restOptions tells each registry where its objects live.
type restOptions struct {
	store  *store.Store
	scheme *runtime.Scheme
	codecs serializer.CodecFactory
}

// builtinOptions are those of the built-in kinds.
func builtinOptions(db *store.Store) restOptions {
	return restOptions{db, legacyscheme.Scheme, legacyscheme.Codecs}
}

// GetRESTOptions is generic.RESTOptionsGetter. Objects are stored in protobuf,
// in the preferred version of their group.
func (o restOptions) GetRESTOptions(r schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	versions := o.scheme.PrioritizedVersionsForGroup(r.Group)
	if len(versions) == 0 {
		return generic.RESTOptions{}, fmt.Errorf("apiserver: no version of API group %q is known", r.Group)
	}
	codec, versioner, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  runtime.ContentTypeProtobuf,
		StorageSerializer: o.codecs,
		StorageVersion:    versions[0],
		MemoryVersion:     schema.GroupVersion{Group: r.Group, Version: runtime.APIVersionInternal},
	})
	if err != nil {
		return generic.RESTOptions{}, fmt.Errorf("apiserver: storage codec of %s: %w", r, err)
	}
	return generic.RESTOptions{
		StorageConfig: (&storagebackend.Config{
			Codec:           codec,
			EncodeVersioner: versioner,
		}).ForResource(r),
		Decorator:               o.store.Decorator(),
		ResourcePrefix:          resourcePrefix(r),
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: deleteWorkers,
	}, nil
}

// resourcePrefix is where the objects of a resource are in the store.
func resourcePrefix(r schema.GroupResource) string { return "/" + r.Resource + suffix(r.Group) }

// suffix keeps the keys of equally named resources of two groups apart.
func suffix(group string) string {
	if group == "" {
		return ""
	}
	return "." + group
}
