package cli

import (
	"net/http"
	"slices"
	"testing"

	"k8s.io/streaming/pkg/httpstream"
)

// spdyFake is a connection with one stream that notes what is done with it.
type spdyFake struct {
	httpstream.Connection
	httpstream.Stream
	done []string
}

func (f *spdyFake) Dial(...string) (httpstream.Connection, string, error) { return f, "", nil }
func (f *spdyFake) CreateStream(http.Header) (httpstream.Stream, error)   { return f, nil }
func (f *spdyFake) RemoveStreams(s ...httpstream.Stream)                  { f.note("remove", s[0] == f) }
func (f *spdyFake) Close() error                                          { return f.note("close", true) }
func (f *spdyFake) Reset() error                                          { return f.note("reset", true) }
func (f *spdyFake) Cancel() error                                         { return f.note("cancel", true) }
func (f *spdyFake) note(what string, ok bool) error {
	if !ok {
		what += " of another stream"
	}
	f.done = append(f.done, what)
	return nil
}

// client-go closes a stream before it resets it when the local connection is aborted.
func TestPodHearsThatALocalConnectionWasAborted(t *testing.T) {
	fake := &spdyFake{}
	conn, _, err := abortDialer{fake}.Dial("")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.CreateStream(nil)
	if err != nil {
		t.Fatal(err)
	}
	stream.Close()
	_ = stream.Reset()
	conn.RemoveStreams(stream)
	if want := []string{"close", "reset", "cancel", "remove"}; !slices.Equal(fake.done, want) {
		t.Errorf("the connection saw %q, want %q", fake.done, want)
	}
}
