// Package cli is the command line: kubectl's verbs, and the few commands of our
// own that start, stop and remove an instance.
//
// [Main] builds the app and returns the process's exit code. One file holds one
// command. A command of our own talks to the daemon through the Kubernetes API,
// or to its data directory when the daemon need not run; kubectl's verbs are
// k8s.io/kubectl's, with their own flags, output and exit codes.
package cli
