package router

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// mirrorBody is the most of a request's body that is kept for mirrors. Requests with more are not mirrored.
	mirrorBody = 1 << 20
	// mirrorLimit is how long a mirror may take to answer.
	mirrorLimit = 10 * time.Second
)

// mirror is a backend that gets a copy of requests, of so many in so many.
type mirror struct {
	backend                *backend
	numerator, denominator int
}

// mirror keeps what req brings for the mirrors whose turn it is. What it returns sends the copies, when the request has been
// served; nobody waits for their answers.
func (f *filters) mirror(req *http.Request, g *gatewayRule, m *requestMatch) func() {
	var chosen []mirror
	for _, one := range f.mirrors {
		if rand.IntN(one.denominator) < one.numerator {
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		return func() {}
	}
	kept := &keptBody{}
	if req.Body != nil && req.Body != http.NoBody {
		kept.ReadCloser = req.Body
		req.Body = kept
	}
	copied := req.Clone(context.WithoutCancel(req.Context()))
	return func() {
		if kept.tooLong {
			return
		}
		for _, one := range chosen {
			g.running.Go(func() { one.send(copied, kept.kept.Bytes(), g, m) })
		}
	}
}

func (one mirror) send(req *http.Request, body []byte, g *gatewayRule, m *requestMatch) {
	ctx, cancel := context.WithTimeout(req.Context(), mirrorLimit)
	defer cancel()
	out := req.Clone(ctx)
	out.RequestURI = ""
	out.Body, out.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	for _, name := range []string{"Connection", "Upgrade", "Te", "Transfer-Encoding"} {
		out.Header.Del(name)
	}
	g.filters.change(out, m)
	response, err := one.backend.RoundTrip(out)
	if err != nil {
		return // a mirror's trouble is not the client's
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// keptBody keeps what is read of a body.
type keptBody struct {
	io.ReadCloser
	kept    bytes.Buffer
	tooLong bool
}

// Read is io.Reader's.
func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.kept.Len()+n > mirrorBody {
		b.tooLong = true
		b.kept.Reset()
	}
	if !b.tooLong {
		b.kept.Write(p[:n])
	}
	return n, err
}
