// Package daemon wires every room of kube-lite into one process.
//
// [Run] is the whole story, in order: lock the data directory, find Docker,
// choose the address ranges, open the store, serve the API, start the node
// agent, the controllers, the Service rules and DNS, and say when the first
// pod could run. When its context ends it stops everything in reverse order:
// pods first, the store last.
//
// The package also owns what outlives the process: the data directory with its
// lock ([Lookup] tells who holds it), the instance's settings, and how to
// remove all of it ([Reset]).
//
//	DIR/lock            held by the running daemon; its text describes it
//	DIR/instance.json   the settings that must not change between starts
//	DIR/kube-lite.db    every object of the API
//	DIR/pki/            certificates
//	DIR/kubeconfig      for kubectl and any other client, mode 0600
//	DIR/daemon.log      what a daemon in the background says
//	DIR/pods/           volumes and files of pods
package daemon
