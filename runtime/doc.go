// Package runtime is the node agent: what a kubelet is to a node, on Docker.
//
// It owns the Node object and its heartbeat, and for every Pod bound to the node it
// compares what is declared with what Docker has, and acts: the sandbox (a pause
// container that holds the network), volumes, init containers, containers, and the
// status written back through the API. It takes a kubernetes.Interface and shared
// informers, knows no other room, and never schedules a Pod or creates one.
//
// An Agent is made with New and runs with Run; Handler serves logs, exec, attach and
// port-forward (package streaming) and figures of use. One loop drives everything:
//
//	API informers ┐                       ┌ docker.Engine: create, start, stop, remove
//	Docker events ┼→ queue → syncPod(uid) ┤
//	timers        ┘                       └ status writer → API
//
// syncPod never trusts the event that woke it. It reads the Pod from the informer and
// the Pod's containers from the mirror (mirror.go), which Docker's events and our own
// acts keep current, computes what is missing, and does it. Nothing is kept in memory
// that cannot be found again in Docker's labels or in the Pod's status, back-offs
// aside: a restarted daemon adopts what runs without touching it.
//
// Where things are: plan.go decides what is missing, as a pure function; sync.go, start.go,
// precreate.go, end.go and stopping.go do it; probes.go and hooks.go ask and tell running
// containers; status.go and conditions.go compute what is reported, and writer.go writes it;
// lookup.go tells the streams of users which container is meant, stats*.go
// sample what is used; pull.go and image.go get images; spec.go, env.go and volumes.go
// translate a declaration, and package volume makes the volumes; addresses.go and network.go
// give each Pod its place in the network; unsupported.go is the table of
// what is not done yet. After each act Agent.step is called: tests end the agent there
// (kill_test.go).
package runtime
