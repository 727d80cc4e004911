package verdict

import (
	"bytes"
	"sync"
)

// limited keeps the first bytes that are written; two streams may write.
type limited struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write is io.Writer's.
func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p[:min(len(p), max(0, shownBody-l.b.Len()))])
	return len(p), nil
}

func (l *limited) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
