package mirror

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"k8s.io/apimachinery/pkg/types"
)

func TestIndexFindsContainersByPodAndAddress(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	make := func(id string, uid types.UID, attempt int, address string) *entry {
		addr, _ := netip.ParseAddr(address)
		created := began.Add(time.Duration(len(id)) * time.Second)
		return &entry{Instance: pods.Instance{Container: docker.Container{ID: id, Created: created}, Pod: pods.Ref{UID: uid}, Attempt: attempt, Address: addr}}
	}
	x := newIndex()
	ids := func(uid types.UID) (out []string) {
		for _, e := range x.byPod[uid] {
			out = append(out, e.ID)
		}
		return out
	}
	for _, e := range []*entry{make("second", "a", 1, "10.0.0.2"), make("first", "a", 0, "10.0.0.2"), make("older", "a", 1, ""), make("other", "b", 0, "")} {
		x.put(e)
	}
	if got := ids("a"); !slices.Equal(got, []string{"first", "older", "second"}) {
		t.Errorf("the containers of a are %v: want the oldest attempt first", got)
	}
	x.put(make("first", "a", 2, "10.0.0.2")) // read again
	if got := ids("a"); !slices.Equal(got, []string{"older", "second", "first"}) || len(x.byID) != 4 {
		t.Errorf("the containers of a are %v, of %d", got, len(x.byID))
	}
	x.remove("second")
	x.remove("nobody")
	if x.sandboxes[netip.MustParseAddr("10.0.0.2")] != 1 {
		t.Error("the address of one sandbox counts as free with another")
	}
	for _, id := range []string{"first", "older", "other"} {
		if e, known := x.remove(id); !known || e.ID != id {
			t.Errorf("%s was not known", id)
		}
	}
	if len(x.byID)+len(x.byPod)+len(x.sandboxes) != 0 {
		t.Errorf("something is left: %+v", x)
	}
}
