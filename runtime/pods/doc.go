// Package pods is the node agent's vocabulary: what a Pod is on this node, in the API's words and in Docker's.
//
// A Pod is named by a Ref. Each run of one of its containers is an Instance: a Docker container with dockershim's name
// and labels, which say everything that a later life of the daemon has to know. Instances of one container count their
// attempts; when a container's rule restarts all containers of its Pod, a new restart generation begins.
//
//	i, ok := pods.InstanceOf(found)              // a Docker container of some Pod
//	declared := pods.Container(pod, i.ContainerName)
//	again := i.Ended() && pods.Restarts(pod, declared, i.ExitCode)
//
// All of it is computed from the Pod and from what Docker says of its containers: nothing here keeps anything, calls the
// engine or the API, or reads a file. What follows from it is for others: what to start, what to report. (The package is
// named like strings or maps: a single one is nearly always a variable.)
package pods
