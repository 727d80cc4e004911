// Package docker speaks to a Docker Engine and is the only importer of its SDK.
//
// It owns the connection (which engine, whether it is recent enough), and turns
// the engine's API into a few plain types: ContainerSpec goes in, Container comes
// out. It knows containers, images, networks and events, and puts containers on a
// bridge without the engine (bridge.go); it knows nothing of Kubernetes, and it
// never decides anything: what to start and when is the business of package runtime.
//
// Every call that could hang is bounded by a named timeout (timeouts.go). Errors
// say what was tried on which object; IsNotFound, IsConflict and
// IsUnavailable tell their kinds apart. An Engine holds no state beside its
// connection and may be used by any number of goroutines.
//
//	engine, err := docker.Connect(ctx, "", log)  // Docker's environment and contexts
//	id, err := engine.Create(ctx, docker.ContainerSpec{Name: "web", Image: "nginx"})
//	err = engine.Start(ctx, id)
//	c, err := engine.Inspect(ctx, id)
//
// What belongs to an instance of kube-lite carries the label LabelInstance; lists
// and event streams filter on it, so other people's containers are never seen.
package docker
