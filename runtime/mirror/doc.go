// Package mirror is the node agent's picture of what Docker has of an instance: its containers, by Pod and by ID.
//
// It is to containers what an informer is to API objects. Docker's events say which containers to read again, and a new
// event stream has all of them read; readers never ask Docker. What the agent does itself it notes before any event comes
// (Created, Start, Remove), so that a Pod's next look is not behind its last act.
//
//	m := mirror.New(engine, pods.Owner{Instance: "demo"}, log)
//	m.Changed = func(ref pods.Ref) { ... } // look at that Pod
//	go m.Run(ctx)
//	if m.Ready() {                        // it shows all that there is
//		have := m.Pod(pod.UID)            // dead ones too, oldest attempt first
//	}
//
// Beside what Docker tells it keeps what Docker forgets or never knew: whether a container ended for want of memory, and
// who its first process ran as. It knows nothing of the API, of what is declared, or of what follows. Any goroutine may
// call its methods.
package mirror
