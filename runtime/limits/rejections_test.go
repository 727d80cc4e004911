package limits

import (
	"testing"
	"time"
)

func TestEachRejectionOfAControllersPodsWaitsTwiceAsLong(t *testing.T) {
	r, now := NewRejections(), time.Unix(1000, 0)
	if _, waits := r.Take("set", now); waits {
		t.Fatal("the first one waits")
	}
	if _, waits := r.Take("other", now); waits {
		t.Error("another controller's waits")
	}
	for delay := RejectFirst; delay < rejectMost; delay *= 2 {
		until, waits := r.Take("set", now)
		if !waits || until.Sub(now) != delay {
			t.Fatalf("the next one waits %v, want %v", until.Sub(now), delay)
		}
		now = until
		if _, waits := r.Take("set", now); waits {
			t.Fatal("it waits beyond its time")
		}
	}
	until, _ := r.Take("set", now)
	if until.Sub(now) != rejectMost {
		t.Errorf("at last they wait %v", until.Sub(now))
	}
	now = until.Add(rejectMost + time.Second)
	r.Take("other", now) // whose rejections are long over is forgotten
	if _, waits := r.Take("set", now); waits {
		t.Error("after a long pause the first one waits")
	}
}
