package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/probe"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
)

// hookBodyLimit is how much of an answer to a hook is read, in bytes; nobody looks at it.
const hookBodyLimit = 10 << 10

func newHookClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true, // a container's life is short, and its hooks are few
		DialContext:       probe.ProbeDialer().DialContext,
	}}
}

// Get sends the request of a hook. As with a kubelet any answer will do, whatever its
// status. Only ctx bounds it.
func (p *Prober) Get(ctx context.Context, get *v1.HTTPGetAction, t Target) error {
	request, err := httpprobe.NewRequestForHTTPGetAction(get, t.Container, t.Host, "lifecycle")
	if err != nil {
		return err
	}
	answer, err := p.hooks.Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.CopyN(io.Discard, answer.Body, hookBodyLimit)
	if err == io.EOF {
		return nil
	}
	return err
}
