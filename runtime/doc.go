// Package runtime is the node agent: what a kubelet is to a node, on Docker.
//
// It owns the Node object and its heartbeat, and for every Pod bound to the node it
// compares what is declared with what Docker has, and acts: the sandbox (a pause
// container that holds the network), volumes, init containers, containers, and the
// status written back through the API. It takes a kubernetes.Interface and shared
// informers, knows no other room, and never schedules a Pod or creates one.
//
// An Agent is made with New and runs with Run; Handler serves logs, exec, attach and
// port-forward and figures of use. One loop drives everything:
//
//	API informers ┐                       ┌ docker.Engine: create, start, stop, remove
//	Docker events ┼→ queue → syncPod(uid) ┤
//	timers        ┘                       └ status writer → API
//
// syncPod never trusts the event that woke it. It reads the Pod from the informer and
// the Pod's containers from the mirror (package mirror), which Docker's events and our own
// acts keep current, computes what is missing, and does it. Nothing is kept in memory
// that cannot be found again in Docker's labels or in the Pod's status, back-offs
// aside: a restarted daemon adopts what runs without touching it.
//
// The agent is the story; what it is told with lies in packages of its own, each to be understood alone. pods has the
// words: a Pod, the instances of its containers, what follows from what they declare. mirror has the picture of Docker,
// plan decides what is missing, images gets images, limits admits Pods and enforces what they may use, spec says in
// Docker's words what they declare, files has what lies in their directories and variables, volume makes what they mount,
// node keeps the Node object, stats has figures, status says what the API is told of a Pod, probe asks containers,
// streaming serves logs, exec, attach and port-forward, prune takes away what nobody needs, docker drives the engine. None
// of them knows the agent: what they need of it are functions that New hands in.
//
// Here sync.go, start.go, precreate.go, end.go and stopping.go do what the plan says, with the calls of containers.go;
// probes.go and hooks.go follow running containers; report.go has the status computed and written; admission.go and
// resize.go do what limits decided; volumes.go and persistent.go prepare what containers mount; addresses.go and network.go
// give each Pod its place in the network; lookup.go tells the streams of users which container is meant.
// After each act Agent.step is called: tests end the agent there (kill_test.go).
package runtime
