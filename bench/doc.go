// Command bench measures kube-lite against its budgets and prints a table.
//
// It drives bin/kube-lite from outside, as its users do: the command line, a Kubernetes client with the printed
// kubeconfig, /proc, and sockets. The yardsticks are measured in the same run, in turns with what they are compared
// with: for pods the same containers made by hand through Docker's API (runtime/docker, all that it imports of the
// project), for DNS a CoreDNS that serves the same Services, for the API a kube-apiserver over etcd under the same load,
// for Services a kube-proxy that reads them from the same API in a network namespace of its own, for Ingresses an nginx
// that leads to the same pods. Ratios are taken turn by turn, so that what else the
// machine does meets both alike. Each figure has an instance of its own, named bench-…, which is removed at the end, on
// Ctrl-C and on failure too. Crowds of pods that Docker could not start here are made by benchmarks of package runtime,
// which this program builds and runs. Nothing but this machine is asked or loaded.
//
//	scripts/bench                      all figures, five rounds each
//	scripts/bench -only=start,pods     these
//	scripts/bench -only=api            all of the comparison with kube-apiserver
//	scripts/bench -only=proxy          all of the comparison with kube-proxy
//	scripts/bench -rounds=9 -json=FILE more rounds, and all samples as JSON ("-": in place of the table)
//
// A figure is a value of type figure: its name, its budget, and a function that takes samples. docs/PERFORMANCE.md
// quotes the results and says what bounds them.
package main
