package docker

import (
	"errors"
	"fmt"
	"testing"
)

func TestWordsAreTheEnginesOwn(t *testing.T) {
	said := errors.New("Error response from daemon: no such program")
	for _, c := range []struct {
		err  error
		want string
	}{
		{failure(said, "start container %s", "0123456789ab"), "no such program"},
		{fmt.Errorf("start the sandbox: %w", failure(said, "start container %s", "0123456789ab")), "no such program"},
		{&UnreachableError{Ref: "app:1", Err: errors.New("dial tcp: no route")}, "registry not reachable: dial tcp: no route"},
		{errors.New("plain"), "plain"},
	} {
		if got := Words(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}
