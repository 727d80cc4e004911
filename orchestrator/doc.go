// Package orchestrator is the reconcile loop of kube-lite: it makes the objects
// in the API agree with what users declared. A Deployment becomes ReplicaSets,
// a ReplicaSet becomes Pods, the scheduler binds Pods to the node, ready Pods
// become EndpointSlices and Endpoints, every namespace gets its ServiceAccount,
// Secrets that ask for a ServiceAccount's token get it, what lost its owner is collected, and a
// deleted namespace is emptied.
//
// Each controller is one file and the same loop: a key from a queue, a
// reconcile that reads the current state from the shared informers, computes,
// and writes. No controller trusts the event that woke it, and none keeps
// expectations of what its writes will cause. Instead, before it acts, a
// controller makes sure that its informers show its own last write (see
// lastWrites): revisions of the API server are one counter, so "has the cache
// reached revision N" has an answer. That is why a slow watch cannot make it
// create twice.
//
// The package never touches containers, rules or files; the Kubernetes API is
// its only channel. It runs against any API server whose resourceVersions are
// comparable integers.
//
// Use: New, then start the informer factory, then Run.
//
//	o, err := orchestrator.New(client, meta, factory, orchestrator.Options{})
//	factory.Start(ctx.Done())
//	err = o.Run(ctx)
package orchestrator
