// Package verdict finds out whether an application is as it was declared, and whether it does what it should: the room
// behind `kube-lite test`.
//
// It is given a [Cluster] and the objects that a run applied. [Run.Await] waits until each of them is as declared (judge.go
// says what that means for a kind), and stops early when the cause that package why finds for one of them is such that time
// does not mend it (hopeless.go). [Run.Try] then tries [Check]s: requests to Services, Ingresses, NodePorts and pods,
// commands in pods, Jobs. A [Report] takes all that happens to the terminal, to a CI log, to JUnit XML ([WriteJUnit]), and
// [WriteLogs] keeps logs, events and objects.
//
// It asks the Kubernetes API and nothing else, so it works on every cluster. It changes nothing but what a check asks for:
// who applies the objects and who makes and removes an instance is the caller's business.
package verdict
