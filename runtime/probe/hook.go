package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/probe"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
)

// hookBodyLimit is how much of an answer to a hook is read, in bytes; nobody looks at it.
const hookBodyLimit = 10 << 10

func newHookClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true, // a container's life is short, and its hooks are few
			DialContext:       probe.ProbeDialer().DialContext,
		},
		// A container must not send this machine elsewhere: it reaches what Pods do not.
		CheckRedirect: httpprobe.RedirectChecker(false),
	}
}

// Get sends the request of a hook. As with a kubelet any answer will do, whatever its
// status, and a server that does not speak the HTTPS that is declared is asked in plain
// HTTP: plain tells of that. Only ctx bounds it.
func (p *Prober) Get(ctx context.Context, get *v1.HTTPGetAction, t Target) (plain bool, err error) {
	request, err := newRequest(get, t, "lifecycle")
	if err != nil {
		return false, err
	}
	request = request.WithContext(ctx)
	err = p.send(request)
	if errors.Is(err, http.ErrSchemeMismatch) {
		request.URL.Scheme = "http"
		request.Header.Del("Authorization") // it was meant to be encrypted
		return true, p.send(request)
	}
	return false, err
}

func (p *Prober) send(request *http.Request) error {
	answer, err := p.hooks.Do(request)
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
