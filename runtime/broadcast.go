package runtime

import "sync"

// broadcast wakes everybody who waits when something changed. It does not say what.
type broadcast struct {
	mu   sync.Mutex    // guards next
	next chan struct{} // closed at the next change; nil: nobody waits
}

// wait returns a channel that is closed at the next change.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// notify wakes those who wait now.
func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
