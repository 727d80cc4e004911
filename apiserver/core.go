package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
	endpointsstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	limitrangestore "k8s.io/kubernetes/pkg/registry/core/limitrange/storage"
	nodestore "k8s.io/kubernetes/pkg/registry/core/node/storage"
	pvstore "k8s.io/kubernetes/pkg/registry/core/persistentvolume/storage"
	pvcstore "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	podtemplatestore "k8s.io/kubernetes/pkg/registry/core/podtemplate/storage"
	replicationcontrollerstore "k8s.io/kubernetes/pkg/registry/core/replicationcontroller/storage"
	corerest "k8s.io/kubernetes/pkg/registry/core/rest"
)

// coreGroup composes the group of Pods and Services. Upstream has a
// constructor for the whole of it, but that one insists on etcd for its
// allocators; so what touches pods, nodes and Services is put together here.
func (s *Server) coreGroup(enabled *serverstorage.ResourceConfig, c *genericapiserver.Config) (*genericapiserver.APIGroupInfo, error) {
	base := corerest.GenericConfig{EventTTL: eventTTL, LoopbackClientConfig: s.loopback, Informers: s.shared}
	group, err := base.NewRESTStorage(enabled, c.RESTOptionsGetter)
	if err != nil {
		return nil, fmt.Errorf("apiserver: compose the core group: %w", err)
	}
	resources := group.VersionedResourcesStorageMap["v1"]
	pods, err := s.addPodsAndNodes(resources, c)
	if err != nil {
		return nil, err
	}
	if err := s.addServices(resources, c, pods); err != nil {
		return nil, err
	}
	if err := addTemplatesAndVolumes(resources, c.RESTOptionsGetter); err != nil {
		return nil, err
	}
	resources["componentstatuses"] = componentStatuses(pods.Pod.ReadinessCheck)
	return &group, nil
}

func (s *Server) addPodsAndNodes(resources map[string]rest.Storage, c *genericapiserver.Config) (podstore.PodStorage, error) {
	node := s.nodeConnection()
	pods, err := podstore.NewStorage(c.RESTOptionsGetter, node, proxyTransport(), s.client.PolicyV1(), c.Authorization.Authorizer)
	if err != nil {
		return pods, fmt.Errorf("apiserver: compose pods: %w", err)
	}
	pods.Log.KubeletConn = logConnection{node}
	resources["pods"] = pods.Pod
	resources["pods/attach"] = pods.Attach
	resources["pods/binding"] = pods.Binding
	resources["pods/ephemeralcontainers"] = pods.EphemeralContainers
	resources["pods/eviction"] = pods.Eviction
	resources["pods/exec"] = pods.Exec
	resources["pods/log"] = pods.Log
	resources["pods/portforward"] = pods.PortForward
	resources["pods/proxy"] = pods.Proxy
	resources["pods/resize"] = pods.Resize
	resources["pods/status"] = pods.Status
	resources["bindings"] = pods.LegacyBinding

	nodes, err := nodestore.NewStorage(c.RESTOptionsGetter, kubeletclient.KubeletClientConfig{}, proxyTransport())
	if err != nil {
		return pods, fmt.Errorf("apiserver: compose nodes: %w", err)
	}
	nodes.Proxy.Connection = node
	if err := s.addServiceAccounts(resources, c, pods, nodes); err != nil {
		return pods, err
	}
	resources["nodes"] = nodes.Node
	resources["nodes/proxy"] = nodes.Proxy
	resources["nodes/status"] = nodes.Status
	return pods, nil
}

// addServices composes Services with allocators that need no etcd: that of NodePorts lives in memory and is rebuilt
// from the stored Services, since one process writes them and has nothing to agree on with anybody.
func (s *Server) addServices(resources map[string]rest.Storage, c *genericapiserver.Config, pods podstore.PodStorage) error {
	endpoints, err := endpointsstore.NewREST(c.RESTOptionsGetter)
	if err != nil {
		return fmt.Errorf("apiserver: compose endpoints: %w", err)
	}
	alloc, err := s.newAllocators(c)
	if err != nil {
		return err
	}
	services, status, proxy, err := alloc.services(c.RESTOptionsGetter, endpoints, pods.Pod, proxyTransport())
	if err != nil {
		return fmt.Errorf("apiserver: compose services: %w", err)
	}
	if err := alloc.restore(context.Background(), services); err != nil {
		return err
	}
	resources["endpoints"] = endpoints
	resources["services"] = services
	resources["services/proxy"] = proxy
	resources["services/status"] = status
	return nil
}

func addTemplatesAndVolumes(resources map[string]rest.Storage, options generic.RESTOptionsGetter) error {
	volumes, volumeStatus, err := pvstore.NewREST(options)
	if err != nil {
		return fmt.Errorf("apiserver: compose persistentvolumes: %w", err)
	}
	claims, claimStatus, err := pvcstore.NewREST(options)
	if err != nil {
		return fmt.Errorf("apiserver: compose persistentvolumeclaims: %w", err)
	}
	templates, err := podtemplatestore.NewREST(options)
	if err != nil {
		return fmt.Errorf("apiserver: compose podtemplates: %w", err)
	}
	limits, err := limitrangestore.NewREST(options)
	if err != nil {
		return fmt.Errorf("apiserver: compose limitranges: %w", err)
	}
	controllers, err := replicationcontrollerstore.NewStorage(options)
	if err != nil {
		return fmt.Errorf("apiserver: compose replicationcontrollers: %w", err)
	}
	resources["persistentvolumes"] = volumes
	resources["persistentvolumes/status"] = volumeStatus
	resources["persistentvolumeclaims"] = claims
	resources["persistentvolumeclaims/status"] = claimStatus
	resources["podtemplates"] = templates
	resources["limitranges"] = limits
	resources["replicationcontrollers"] = controllers.Controller
	resources["replicationcontrollers/status"] = controllers.Status
	resources["replicationcontrollers/scale"] = controllers.Scale
	return nil
}

// proxyTransport reaches pods and Services for the proxy subresources. Their
// certificates are nobody's business, as on a kube-apiserver.
func proxyTransport() http.RoundTripper {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
}
