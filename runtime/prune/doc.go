// Package prune removes from Docker and from the disk what an instance does not need: of Pods that are gone, of
// containers that were restarted, images (Run); or all that its node agent ever made (All). Remain tells what there is.
//
// It goes by Docker's labels, the API's objects and the names of directories, and keeps nothing. It needs no agent: Run may
// work beside one, All only where none runs.
//
//	removed, err := prune.Run(ctx, engine, client, prune.Options{Instance: "demo", Root: dir, DryRun: true})
//	err = prune.All(ctx, engine, "demo", dir)
package prune
