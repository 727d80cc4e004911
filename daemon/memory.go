package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryInterval is how often the daemon looks whether it has memory to give back.
	memoryInterval = 10 * time.Second
	// quietAllocation is what a daemon that has little to do allocates between two looks, at most.
	quietAllocation = 8 << 20
	// worthReturning is how much memory must come back: finding the garbage costs some 50 ms of processor time.
	worthReturning = 16 << 20
)

// heap is what Go's runtime knows without looking for garbage. All are bytes.
type heap struct {
	allocated uint64 // since the process began
	objects   uint64 // live ones, and the garbage since the last collection
	live      uint64 // at the last collection
	free      uint64 // in no use, and not given back
}

// memoryReturner gives memory back to the machine when a load is over. By itself Go keeps twice what is in use, and an idle
// daemon makes so little garbage that what a load took would stay for minutes.
type memoryReturner struct {
	read    func() heap
	release func() // collects the garbage, and gives back what is free
	last    heap
}

// run looks every memoryInterval until ctx ends.
func (m *memoryReturner) run(ctx context.Context) error {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.look()
		}
	}
}

// look releases memory when little has happened since the last look and there is enough of it.
func (m *memoryReturner) look() {
	now := m.read()
	quiet := now.allocated-m.last.allocated < quietAllocation
	m.last = now
	if garbage := now.objects - min(now.objects, now.live); quiet && garbage+now.free > worthReturning {
		m.release()
	}
}

// newMemoryReturner is that of this process.
func newMemoryReturner() *memoryReturner {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	return &memoryReturner{
		read: func() heap {
			metrics.Read(samples)
			return heap{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
		},
		release: debug.FreeOSMemory,
	}
}
