// Package volume makes what Pods mount, on this host's disk and in its mount table.
//
// Paths and bytes go in, errors come out: it knows no agent, no engine and no API, and
// starts nothing that outlives a call. What a Pod declares, when its volumes are made and
// which event tells of a failure is the business of package runtime.
//
// A Pod's containers write to its volumes while the daemon, as root, works in them. So
// nothing here trusts a name that a container can change: a part of a volume is found once,
// held open and mounted by that handle (OpenSubPath, Bind), an archive is unpacked through a
// root that no link leads out of (Untar), and a directory is removed when nothing is mounted
// below it any more (RemoveTree). And the daemon may be killed at any moment, so what is made
// has its name only when it is whole: the files of a projected volume change all at once
// (WriteAtomically), a directory is made beside its place and moved there (Build).
//
//	err := volume.WriteAtomically(dir, volume.Files{"color": {Data: "red", Mode: 0o644}}, nil)
//	part, err := volume.OpenSubPath(dir, "logs/web", true)
//	err = volume.Bind(part, target) // target is what an engine mounts
//	err = volume.RemoveTree(pod)
//
// Nothing is remembered: the state is the disk's and the kernel's. Any number of goroutines may
// work on different paths, and open and mount parts of one volume; who writes or removes one
// sees to it that nobody else does.
package volume
