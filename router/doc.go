// Package router serves HTTP for the cluster on this machine's localhost: it leads each request by its host and path to a
// pod, as Ingress objects of networking.k8s.io/v1 declare.
//
// A Router follows Ingresses, Services, EndpointSlices and Secrets through shared informers. [translate] turns what they
// say into one immutable table of routes, a pure function; each request reads the table that is current when it comes. What
// changes more often than routes do, the endpoints of a Service, is swapped below the table, in the [backend]. Requests go
// straight from this process to the pod, so that a change of endpoints is in force before the next request, and one that
// no endpoint has begun to answer is given to the next.
//
// It takes its two ports when the first Ingress of its class appears and says in the status of each Ingress, in events and
// in annotations of its IngressClass which they are. It needs no other room: what it knows and what it tells goes through
// the Kubernetes API. It owns no certificate authority: [Options.Certificate] signs for hosts that have no Secret.
//
// Gateway API is the other half, in the files that begin with gateway. [gatewayKinds] follow its objects while their kinds are
// defined, [gatewayTranslation] is the pure function to what each [gateway] of the table serves and to the statuses, and
// [gatewaySockets] give each Gateway an address of its own beside localhost. What an endpoint is, and how a request gets there,
// is the same for both. [DeclineGateways] takes the place of a Router where there is none.
//
// https://kubernetes.io/docs/concepts/services-networking/ingress/
// https://gateway-api.sigs.k8s.io/reference/spec/
package router
