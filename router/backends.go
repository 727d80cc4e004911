package router

import (
	"fmt"

	discoveryv1 "k8s.io/api/discovery/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// sliceIndex finds the EndpointSlices of a Service, "namespace/name".
const sliceIndex = "kube-lite/router/service"

// backends are those of all routes. They belong to one goroutine, but for redirected.
type backends struct {
	services corelisters.ServiceLister
	slices   cache.Indexer
	all      map[backendKey]*backend

	redirected redirections
}

// get returns the backend of a key. One that is new leads where the Service does now.
func (b *backends) get(key backendKey) *backend {
	if known := b.all[key]; known != nil {
		return known
	}
	made := &backend{key: key}
	b.resolve(made)
	b.all[key] = made
	return made
}

// refresh has the backends of some Services, "namespace/name", lead where those do now. It tells whether other things are
// wrong with a declaration than before.
func (b *backends) refresh(changed map[string]bool) (otherProblems bool) {
	if len(changed) == 0 {
		return false
	}
	for key, backend := range b.all {
		if changed[key.namespace+"/"+key.service] {
			before := backend.current.Load().problem
			b.resolve(backend)
			otherProblems = otherProblems || backend.current.Load().problem != before
		}
	}
	return otherProblems
}

// retain forgets the backends that are not used. Requests that were led to one go on.
func (b *backends) retain(used map[*backend]bool) {
	for key, backend := range b.all {
		if !used[backend] {
			delete(b.all, key)
			backend.release()
		}
	}
}

func (b *backends) resolve(to *backend) {
	key := to.key
	svc, err := b.services.Services(key.namespace).Get(key.service)
	if err != nil { // listers know no other error than "not found"
		to.lead(protocolHTTP, nil, fmt.Sprintf("the Service %s/%s does not exist", key.namespace, key.service))
		return
	}
	port, err := portOf(svc, key.port)
	if err != nil {
		to.lead(protocolHTTP, nil, err.Error())
		return
	}
	spoken := key.protocol
	if spoken == "" {
		spoken = protocolOf(port.AppProtocol)
	}
	if address := b.redirected.of(key.namespace, key.service, port.Name); address != "" {
		// Who is behind the address may change with each connection.
		to.leadBy(spoken, []string{address}, "", spoken.singleTransport)
		return
	}
	objects, _ := b.slices.ByIndex(sliceIndex, key.namespace+"/"+key.service)
	var found []*discoveryv1.EndpointSlice
	for _, o := range objects {
		found = append(found, o.(*discoveryv1.EndpointSlice))
	}
	to.lead(spoken, addressesOf(svc, port, found), "")
}

// serviceOf is the Service that a slice belongs to, "namespace/name"; "" if to none.
func serviceOf(slice *discoveryv1.EndpointSlice) string {
	if name := slice.Labels[discoveryv1.LabelServiceName]; name != "" {
		return slice.Namespace + "/" + name
	}
	return ""
}
