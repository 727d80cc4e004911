// Package plan decides what is missing between a Pod as declared and its containers as Docker has them.
//
// Decide is a pure function of the Pod, the instances of its containers and a View: what of a Pod's life is written in
// neither, such as how well its containers are and how long one that keeps failing has to wait. A Plan says what to end,
// to start, to create before its turn and to remove. It is computed anew at each look, so it needs no memory of the one
// before, and whatever was done by hand meanwhile is part of what it sees.
//
//	p := plan.Decide(pod, instances, plan.View{Backoffs: crashes, Health: health, Waiting: waiting, Renewed: renewed})
//	for _, s := range p.Start { … }   // unless something has to end or be discarded first
//
// The package calls neither the engine nor the API, starts nothing and keeps nothing: doing it is the agent's part.
package plan
