package daemon

import (
	"runtime"
	"testing"
)

func TestMemoryIsGivenBackWhenALoadIsOver(t *testing.T) {
	const mb = 1 << 20
	released := 0
	now := heap{}
	m := &memoryReturner{read: func() heap { return now }, release: func() { released++ }}
	for _, step := range []struct {
		what string
		now  heap
		want int
	}{
		{"a load at work", heap{allocated: 900 * mb, objects: 200 * mb, live: 100 * mb, free: 50 * mb}, 0},
		{"the load goes on", heap{allocated: 1200 * mb, objects: 200 * mb, live: 100 * mb, free: 50 * mb}, 0},
		{"quiet, with garbage", heap{allocated: 1201 * mb, objects: 201 * mb, live: 100 * mb}, 1},
		{"quiet, with free pages", heap{allocated: 1202 * mb, objects: 101 * mb, live: 100 * mb, free: 20 * mb}, 2},
		{"quiet, with little of either", heap{allocated: 1203 * mb, objects: 105 * mb, live: 100 * mb, free: 5 * mb}, 2},
		{"objects freed by a collection under way", heap{allocated: 1204 * mb, objects: 90 * mb, live: 100 * mb, free: 5 * mb}, 2},
	} {
		now = step.now
		if m.look(); released != step.want {
			t.Errorf("%s: given back %d times, want %d", step.what, released, step.want)
		}
	}
}

func TestTheRuntimeTellsItsHeap(t *testing.T) {
	m := newMemoryReturner()
	runtime.GC()
	before := m.read()
	if before.allocated == 0 || before.objects == 0 || before.live == 0 {
		t.Fatalf("the heap is %+v", before)
	}
	kept := make([]byte, worthReturning)
	if after := m.read(); after.allocated-before.allocated < worthReturning {
		t.Errorf("after %d bytes more the heap is %+v, before %+v", len(kept), after, before)
	}
}
