// Package manifest reads Kubernetes manifests and says, with file, line and column, what is wrong with them before
// anything is sent to an API server.
//
// It owns two steps. Parse splits a file the way kubectl does ("---" lines in YAML, objects one after the other in
// JSON) and keeps the position of every key and value. Check holds the documents against the Go types of the
// Kubernetes API: unknown fields, duplicate keys, wrong types, unknown kinds, missing names. A kind that users define is
// held against the schema of its CustomResourceDefinition, which may stand among the documents. Both report everything
// they find, not only the first problem. CheckFiles does both, for all files that are to be sent together:
//
//	for _, p := range manifest.CheckFiles(files, manifest.Rules{Scheme: manifest.Scheme()}) {
//		fmt.Println(p) // app.yaml:14:9: spec.containers[0].imag: unknown field (did you mean "image"?)
//	}
//
// It never judges values, but those that a custom kind's schema speaks of: whether a name is a DNS label or a port is free
// is the API server's to say, in Kubernetes' own words, and so are rules in CEL. It never talks to a server; what a server
// knows beyond the Go types comes in through Rules.Known and Rules.Definition. It never changes what is sent: kubectl reads
// the same bytes again.
//
// YAML is read as kubectl reads it, through YAML 1.1: yes, no, on and off are booleans, 0644 is octal.
package manifest
