// Package orchestrator runs the reconcile loops that make the objects in the API agree with what users declared.
//
// Nearly all of them are Kubernetes' own: the controllers of kube-controller-manager and the scheduler, as packages of
// k8s.io/kubernetes, so that a Deployment does here what it does in production. One table says which (see loops); what
// does not fit is solved by what they are handed (clients, informers), never by a copy. Ours is what has no upstream: the
// provisioner that makes a directory for each claim, and the expansion of such volumes.
//
// The package never touches containers or rules, and no files but the directories of claims; the Kubernetes API is its
// only channel. It runs against any API server.
//
// Use: New, when all others who want informers of the factory have asked for theirs; then Run, which starts them.
//
//	o := orchestrator.New(config, factory, orchestrator.Options{})
//	err := o.Run(ctx)
package orchestrator
