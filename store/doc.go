// Package store keeps the objects of the Kubernetes API: it implements k8s.io/apiserver/pkg/storage.Interface over one
// bbolt file, in place of etcd and of the API server's watch cache.
//
// It owns the file, the one revision counter that every object of every resource is stamped with, and the recent
// history that watches resume from. It knows nothing of kinds: what an object is, how it is encoded and where its key
// lies come with each StorageConfig. It never talks to the network and never starts a process.
//
//	s, err := store.Open("/var/lib/kube-lite/default/store.db", store.Options{})
//	defer s.Close()
//	restOptions.Decorator = s.Decorator()
//
// # Memory and disk
//
// All objects live decoded and immutable in memory, one ordered index (a copy-on-write B-tree) per resource prefix.
// Readers take the current index, which never changes under them, and copy what they hand out; the items of a list and the
// objects of events still point into the store. The file holds each
// object as its registry's codec encoded it, behind a header with its revision, its expiry and a checksum (record.go).
// The encoded bytes are not kept in memory.
//
// # One write's way
//
// A writer decides outside of every lock: it reads the current object, runs the caller's function, encodes, and queues
// an op that says which revision it expects the key to have. One goroutine, the committer, takes all ops that queued
// while it was busy and makes them one bbolt transaction: it checks the expectations in order, numbers the ops that
// pass, and commits with fsync. Only then does it make them visible, wake the watchers and answer the writers. So the
// order is always durable, then visible, then announced, then acknowledged: what anybody has seen survives a power cut.
// A writer whose expectation failed starts over; a commit that failed (a full disk) changes nothing and can be retried.
//
// # Watches
//
// Each resource keeps its last events in a history that is bounded by number, bytes and age. A watch is a goroutine
// that follows that history with a cursor of its own, so it holds up nobody; when the history moves on past a slow
// watch, the watch ends with 410 Expired and its client lists again. Reads at an exact revision and the pages of a list
// undo that same history on a clone of the index, so they need no snapshots and expire together with it.
//
// # Locks
//
// Store.mu guards what is visible: the revision, each resource's index and history. It is held for pointer swaps only,
// never over I/O, a callback or a copy of an object. Store.queueMu guards the queue of the committer, expirer.mu the
// heap of deadlines, resource.cloneMu the cloning of an index. None of them is taken while another is held.
package store
