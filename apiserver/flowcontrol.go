package apiserver

import (
	"fmt"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/util/flowcontrol"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	flowschemastore "k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema/storage"
	prioritylevelstore "k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration/storage"
	flowcontrolrest "k8s.io/kubernetes/pkg/registry/flowcontrol/rest"

	"github.com/kube-lite/kube-lite/store"
)

// applyFlowControl has requests wait and be refused as FlowSchemas and PriorityLevelConfigurations say, with as many
// seats as a kube-apiserver has by default.
// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
func (s *Server) applyFlowControl(c *genericapiserver.Config) error {
	levels, _, err := prioritylevelstore.NewREST(c.RESTOptionsGetter)
	if err != nil {
		return fmt.Errorf("apiserver: compose prioritylevelconfigurations: %w", err)
	}
	schemas, _, err := flowschemastore.NewREST(c.RESTOptionsGetter)
	if err != nil {
		return fmt.Errorf("apiserver: compose flowschemas: %w", err)
	}
	// The informers read the store itself. Requests of theirs would be subject to what they are about to hear of: a
	// level without seats could never be repaired.
	s.flowConfig = informers.NewSharedInformerFactory(s.client, 0)
	version := flowcontrolv1.SchemeGroupVersion
	s.flowConfig.InformerFor(&flowcontrolv1.PriorityLevelConfiguration{}, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return followStore(levels, version, &flowcontrolv1.PriorityLevelConfiguration{}, &flowcontrolv1.PriorityLevelConfigurationList{})
	})
	s.flowConfig.InformerFor(&flowcontrolv1.FlowSchema{}, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return followStore(schemas, version, &flowcontrolv1.FlowSchema{}, &flowcontrolv1.FlowSchemaList{})
	})
	c.FlowControl = flowcontrol.New(s.flowConfig, s.client.FlowcontrolV1(), c.MaxRequestsInFlight+c.MaxMutatingRequestsInFlight)
	c.StorageObjectCountTracker = objectCounts{s.cfg.Store}
	s.flowConfig.StartWithContext(s.follow)
	return nil
}

// addFlowControlHook has the default FlowSchemas and PriorityLevelConfigurations made, and given back what they lose.
func (s *Server) addFlowControlHook(p flowcontrolrest.RESTStorageProvider) error {
	name, hook, err := p.PostStartHook()
	if err == nil {
		err = s.generic.AddPostStartHook(name, hook)
	}
	if err != nil {
		return fmt.Errorf("apiserver: default FlowSchemas: %w", err)
	}
	return nil
}

// objectCounts tells how many objects a list would read, and so how many seats it takes. Upstream's own counts once a
// minute; the store knows.
type objectCounts struct{ store *store.Store }

var _ flowcontrolrequest.StorageObjectCountTracker = objectCounts{}

// Set is StorageObjectCountTracker's.
func (objectCounts) Set(string, storage.Stats) {}

// Get is StorageObjectCountTracker's. A resource is named as in the store, but for the slash.
func (o objectCounts) Get(resource string) (storage.Stats, error) {
	stats, known := o.store.Stats("/" + resource)
	if !known {
		return stats, flowcontrolrequest.ObjectCountNotFoundErr
	}
	return stats, nil
}

// RunUntil is StorageObjectCountTracker's.
func (objectCounts) RunUntil(<-chan struct{}) {}
