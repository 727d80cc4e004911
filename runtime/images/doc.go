// Package images gets the images that Pods declare, as a kubelet on Docker does: it decides when to pull and when the local
// image will do, with which logins, how long to wait after a failure, and says so in a kubelet's events and reasons.
//
// One image is pulled once however many Pods wait for it. A pull that makes no progress is ended, and a registry that does
// not answer is left alone for a minute, so that working offline costs nothing. How far a container's image is lies in a
// State, which its Pod's worker keeps; nothing here waits for a pull: Changed is called when one ends.
//
//	m := images.New(images.Config{Engine: engine, Secret: secret, Event: event, Changed: enqueue, ...})
//	state := images.NewState(c.Image)
//	ready, waiting, wake := m.Ensure(ctx, pod, c, state)   // may the container be created now? if not, why, and when again
//	waiting, wake = m.Missing(ctx, pod, c, state)          // the engine found no image after all
//
// It also knows how a status shows an image (ID) and which users and groups an image has (Account). It knows nothing of
// Pods' containers, statuses or workers.
package images
