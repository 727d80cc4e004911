// Package reach looks at the way to a Service, hop by hop, from where the node is: what DNS answers for its name, what the kernel leads its
// ClusterIPs to, and who takes a connection, of its ready endpoints, its ClusterIPs, its NodePort and its load balancer.
//
// It says what it has seen and judges nothing: that is for who asks, `kube-lite why`. [Room.Handler] is a part of the node's HTTP API. It looks
// when it is asked, for a few seconds at most, keeps nothing, and changes nothing: a connection is closed as soon as it stands, and no byte is sent.
// What it does not know itself, it has functions for ([Options]): it speaks no DNS and reads no rules.
//
//	look.go: [Room.Look] -> hops.go: which hops a port has -> dial.go: connections, all side by side
package reach
