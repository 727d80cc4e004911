// Package node keeps the Node object of a node agent, as a kubelet does: it registers it, renews its lease, and writes its
// status when something changed, and every few minutes.
//
// The status tells what the machine has (Facts, Allocatable), which addresses, whether Docker answers, and whether memory,
// disk or processes run out (Available). Changes become a kubelet's events. Each runtime of Docker's gets a RuntimeClass of
// its name.
//
//	n := node.New(node.Config{Name: "laptop", Client: client, Engine: engine, ...})
//	go n.Run(ctx)
//	n.EngineChanged(false, err) // Docker is away
//	n.Check()                   // the machine has another address
//
// A Node knows nothing of Pods, nor of the agent: what it needs of that is in its Config. Any goroutine may call its
// methods.
package node
