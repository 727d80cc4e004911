package apiserver

import (
	"bytes"
	"context"
	_ "embed" // the group as discovery lists it
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// memoryKey is that of the mark of requests that came through memory.
type memoryKey struct{}

// markInMemory marks the requests of a connection from within this process.
func markInMemory(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoryKey{}, true)
}

func inMemory(ctx context.Context) bool { return ctx.Value(memoryKey{}) != nil }

// offer adds the group to what api answers at /apis while nothing of it is served, so that clients know its kinds.
func (g *gatewayAPI) offer(api http.Handler) http.Handler {
	offered := sync.OnceValues(readOfferedLists)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis" || r.Method != http.MethodGet || !g.absent.Load() || inMemory(r.Context()) {
			api.ServeHTTP(w, r)
			return
		}
		group, err := offered()
		if err != nil {
			g.custom.server.cfg.Log.Error("Gateway API is not offered", "error", err)
			api.ServeHTTP(w, r)
			return
		}
		asked := r.Clone(r.Context())
		asked.Header.Set("Accept", acceptJSON(r.Header.Get("Accept")))
		asked.Header.Del("Accept-Encoding")
		tag := r.Header.Get("If-None-Match")
		asked.Header.Del("If-None-Match")
		if strings.Contains(tag, offeredTag) { // any other is of an answer without the group, which is not current
			asked.Header.Set("If-None-Match", strings.Replace(tag, offeredTag, "", 1))
		}
		answer := &heldAnswer{header: http.Header{}, code: http.StatusOK}
		api.ServeHTTP(answer, asked)
		answer.add(group)
		maps.Copy(w.Header(), answer.header)
		w.WriteHeader(answer.code)
		_, _ = w.Write(answer.body.Bytes())
	})
}

// acceptJSON leaves of the forms that a client takes those that are JSON.
func acceptJSON(accept string) string {
	forms := slices.DeleteFunc(strings.Split(accept, ","), func(form string) bool {
		return !strings.HasPrefix(strings.TrimSpace(form), "application/json")
	})
	if len(forms) == 0 {
		return "application/json"
	}
	return strings.Join(forms, ",")
}

// offeredTag is in the tag of an answer to which the group was added.
const offeredTag = "-gateway-api"

// heldAnswer is an answer that is not sent yet.
type heldAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter's.
func (a *heldAnswer) WriteHeader(code int) { a.code = code }

// Write is http.ResponseWriter's.
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// add puts the group into a list of groups; any other answer stays as it is.
func (a *heldAnswer) add(group *offeredLists) {
	if tag := a.header.Get("ETag"); tag != "" {
		a.header.Set("ETag", `"`+strings.Trim(tag, `"`)+offeredTag+`"`)
	}
	if a.code != http.StatusOK {
		return
	}
	var list map[string]json.RawMessage
	if json.Unmarshal(a.body.Bytes(), &list) != nil {
		return
	}
	for field, item := range map[string]json.RawMessage{"items": group.Aggregated, "groups": group.Plain} {
		var items []json.RawMessage
		if list[field] == nil || json.Unmarshal(list[field], &items) != nil {
			continue
		}
		list[field], _ = json.Marshal(append(items, item)) // of what was JSON before
	}
	whole, _ := json.Marshal(list)
	a.body.Reset()
	a.body.Write(whole)
	a.header.Del("Content-Length")
}

// offeredListsFile is what discovery lists of the group once our definitions are served, in its two forms. What makes
// data/gateway-api.json.gz makes it too: to decode the definitions for it would take megabytes of memory in every daemon.
//
//go:embed data/gateway-api-lists.json
var offeredListsFile []byte

// offeredLists are the group as discovery lists it.
type offeredLists struct {
	// Aggregated is an APIGroupDiscovery of apidiscovery.k8s.io/v2.
	Aggregated json.RawMessage `json:"aggregated"`
	// Plain is an APIGroup.
	Plain json.RawMessage `json:"plain"`
}

// readOfferedLists reads the file.
func readOfferedLists() (*offeredLists, error) {
	var lists offeredLists
	if err := json.Unmarshal(offeredListsFile, &lists); err != nil {
		return nil, fmt.Errorf("the kinds of %s: %w", gatewayGroup, err)
	}
	return &lists, nil
}
