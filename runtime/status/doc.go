// Package status computes what the API is told of a Pod, and tells it.
//
// A status is computed from an Observation alone: the Pod as declared and last reported, its containers' instances, what
// probes and hooks say of them, why some wait. It yields the status that a kubelet would report, conditions included.
// A Writer brings statuses to the API: the latest of each Pod only, until the API has it. What somebody waits for is
// written at once, small steps are collected for a moment (Pause), and what other writers own is left alone.
//
//	w := status.NewWriter(client, declared, log, step)
//	go w.Run(ctx)
//	w.Set(pods.RefOf(pod), status.Observation{Pod: pod, Have: have, ...}.Status())
//	if w.Flush(pod.UID, wake) { w.Remove(ref) } // the API knows how it ended: delete the object
//
// It neither reads files nor asks Docker: what an ended container left to say, and how an image is shown, are functions of
// the Observation. What follows from a status is for others.
package status
