// Package intercept leads the traffic of a Service's port to a process on this machine while somebody asks for it, and leaves
// the Service, its pods and its EndpointSlices as they are.
//
// A [Room] owns a listener for each intercept on the pod bridge, and the connections that come there. It has the [Redirector],
// which is netproxy and router behind an interface of the daemon, lead new connections to that listener, and hands each one to
// the process. One that the process does not take goes to a pod at once, so that nothing is lost while the process is
// restarted, and no rule changes for it. It never changes an object of the API and keeps nothing on disk: an intercept lives as
// long as the request that asks for it ([Room.Handler]), and so ends with the command that sent it, however that ends, and
// with the daemon.
//
//	[Client.Start] -> the API server's proxy to the node -> [Room.Handler] -> session.go: listen, redirect, tell, restore
//	                                                  a connection -> stream.go, or with headers: http.go -> process.go or pods.go
//
// [PortOf] says which port of a Service is meant, and which cannot be intercepted; the command and the Room both ask it.
package intercept
