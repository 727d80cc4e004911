package apiserver

import (
	"context"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
)

// logConnection is the connection to the node by which logs come. Whoever asks for one over
// a WebSocket is answered by upstream's wsstream.Reader, which drops what it reads together
// with the end: a log that is short enough would be empty.
type logConnection struct{ nodeConnection }

func (l logConnection) GetConnectionInfo(ctx context.Context, name types.NodeName) (*kubeletclient.ConnectionInfo, error) {
	info, err := l.nodeConnection.GetConnectionInfo(ctx, name)
	if err == nil {
		info.Transport = lateEnds{info.Transport}
		info.InsecureSkipTLSVerifyTransport = info.Transport
	}
	return info, err
}

// lateEnds is a transport with answers that tell their end after all that they hold.
type lateEnds struct{ http.RoundTripper }

func (l lateEnds) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &lateEnd{ReadCloser: answer.Body}
	}
	return answer, err
}

type lateEnd struct {
	io.ReadCloser
	end error // came along with the last bytes
}

func (l *lateEnd) Read(p []byte) (n int, err error) {
	if l.end != nil {
		return 0, l.end
	}
	if n, err = l.ReadCloser.Read(p); n > 0 {
		l.end, err = err, nil
	}
	return n, err
}
