package pods

// HookState is how far a container's postStart hook is.
type HookState int

// The states of a hook. One that failed ends its container.
const (
	HookDone HookState = iota // or there is none
	HookDue
	HookRunning
	HookFailed
)

// Health is what probes and the postStart hook say of a running container.
type Health struct {
	Started bool      // its startup probe succeeded, or it has none
	Ready   bool      // it may get traffic
	Failed  string    // the probe that ends it: liveness or startup; empty: none
	Hook    HookState // how far its postStart hook is
}

// Waiting is the reason and message of a container's state waiting.
type Waiting struct{ Reason, Message string }

// Reason is why a Pod fails, waits or cannot grow, as its status and events have it, in a kubelet's words.
type Reason struct{ Reason, Message string }
