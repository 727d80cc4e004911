// Package streaming is the part of a kubelet's HTTP API that users talk through: logs,
// exec, attach and port-forward.
//
// An API server calls it for the subresources of Pods:
//
//	GET       /containerLogs/{namespace}/{pod}/{container}
//	GET, POST /exec/{namespace}/{pod}[/{uid}]/{container}
//	GET, POST /attach/{namespace}/{pod}[/{uid}]/{container}
//	GET, POST /portForward/{namespace}/{pod}[/{uid}]
//
// with a kubelet's query parameters, protocols (SPDY and every version of the WebSocket
// ones) and words. It asks for no credentials: serve it only where none but the API
// server can reach it.
//
// It owns the sessions of clients, from the request to the end of the last goroutine that
// serves it, and the output that waits for a container's one client (held.go). It carries
// bytes between a client and Docker and decides nothing: which Pod is meant and which
// container stands for it is asked of Pods, which the node agent implements. It never changes a Pod or a container.
//
//	server := streaming.New(engine, pods, log)
//	go server.Run(ctx)      // ends all sessions with ctx, and waits for them
//	mux.Handle("/", server) // one request, or upgraded connection, is one session
//	server.Hold(ctx, id)    // before the start of a container that has one client
package streaming
