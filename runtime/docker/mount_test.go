package docker

import (
	"testing"

	"github.com/docker/docker/api/types/mount"
)

func TestReadOnlyMountsReachAsFarAsTheySay(t *testing.T) {
	for recursive, want := range map[string]mount.BindOptions{
		"":           {ReadOnlyNonRecursive: true},
		"Disabled":   {ReadOnlyNonRecursive: true},
		"IfPossible": {},
		"Enabled":    {ReadOnlyForceRecursive: true, Propagation: mount.PropagationRPrivate},
	} {
		var got mount.BindOptions
		if o := (Mount{ReadOnly: true, Recursive: recursive}).sdk().BindOptions; o != nil {
			got = *o
		}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", recursive, got, want)
		}
	}
	if o := (Mount{Recursive: "Disabled"}).sdk().BindOptions; o != nil {
		t.Errorf("a mount to write to has %+v", o)
	}
}
