package apiserver

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestLogsTellTheirEndAfterTheirLastBytes(t *testing.T) {
	for _, text := range []string{"", "short", "longer than what is read at once"} {
		log := &lateEnd{ReadCloser: io.NopCloser(iotest.DataErrReader(bytes.NewBufferString(text)))}
		var got []byte
		for piece := make([]byte, 8); ; {
			n, err := log.Read(piece)
			got = append(got, piece[:n]...)
			if err != nil && n > 0 {
				t.Errorf("%q: %v came with %q", text, err, piece[:n])
			}
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != text {
			t.Errorf("read %q of %q", got, text)
		}
	}
}
