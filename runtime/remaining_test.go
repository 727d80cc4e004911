package runtime

import (
	"slices"
	"testing"
)

func TestWhatRemainsOfAnInstance(t *testing.T) {
	e, _, opts := pruneRig(t)
	r, err := Remain(t.Context(), e, opts.Instance)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Pods, []string{"ns/web"}) || r.Containers != 3 {
		t.Errorf("got %+v", r)
	}
}
