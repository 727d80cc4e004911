// Package why says why an object is not as it was declared. It follows the causal chain from the object to its first broken
// link: a Deployment to its ReplicaSet, to a Pod, to an image that is missing; a Service to a selector that matches nothing.
//
// It asks the Kubernetes API and nothing else, so it works on every cluster; two questions beyond it, which ports a pod
// listens on and which images a node has, go through the API to the node and stay open where the node does not answer them.
// It writes nothing. It never guesses: each sentence states what was read, and what could not be read is listed as such.
//
// [New] makes an [Explainer], [Explainer.Why] returns a [Chain], and [Chain.Write] prints it. One file holds one step of
// the way.
package why
