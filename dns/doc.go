// Package dns is the cluster's DNS server: it answers for Services and Pods as
// the Kubernetes DNS specification, schema 1.1.0, defines
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md), and
// hands every other name to the nameservers of the host's resolv.conf.
//
// It owns its UDP and TCP sockets and one snapshot of the records. It never
// writes to the Kubernetes API and keeps nothing on disk.
//
// # How a question is answered
//
// udp.go and tcp.go read packets. query.go parses one and either answers it on
// the spot or says which upstream question is still open; reply.go builds the
// reply and makes it fit. find.go walks the labels of a name through the
// snapshot; records.go knows which records a Service has. watch.go recomputes
// the Services and Namespaces that changed and swaps the snapshot
// (snapshot.go), so that readers take no lock. hosts.go has the names of the
// host's own files. forward.go and race.go ask upstream, health.go knows who of it answers,
// and cache.go keeps what it says; resolvconf.go follows the host's file.
//
// Where the specification leaves a choice, CoreDNS with `pods insecure` and
// `fallthrough` for the reverse zones is the model: records live 5 s, a name
// between the zone and a Service is NOERROR without data, an SRV question for
// the Service's own name lists all its ports, and a reverse name that belongs
// to no Service goes upstream.
//
// Beside the cluster's domain the server has an alias: NAME.NS.svc.local is
// answered as NAME.NS.svc.cluster.local, with the name that was asked as the
// owner of the records.
//
// # Use
//
//	server, err := dns.New(services, slices, namespaces, dns.Options{Addr: "10.244.0.1:53"})
//	if err != nil { … }          // the address is taken, or not ours
//	informers.Start(ctx.Done())
//	err = server.Run(ctx)        // until ctx ends
//
// [Lookup] asks a server as a Pod does, for those who check one.
//
// Until the informers have synced, names of the cluster get SERVFAIL, which
// clients retry; NXDOMAIN would make them give up on a Service that exists.
package dns
