package daemon

import (
	"context"
	"log/slog"
	"slices"
	"strings"
)

// upstream passes on what Kubernetes' packages log that is of use to somebody who reads
// this daemon's log: warnings and errors, but not that a client has hung up or that a
// controller tries again with newer objects, which they call errors.
type upstream struct{ slog.Handler }

// hangsUp tells of a client that has gone: a WebSocket of `kubectl exec`, a `port-forward`
// that was interrupted, a watch that was left, an intercept that has ended.
func hangsUp(r slog.Record) bool {
	switch r.Message {
	case "Error on socket receive", "Error proxying data from client to backend":
		return true
	case "Failed to encode watch event":
		return errorMatches(r, func(err string) bool { return err == "http2: stream closed" })
	case "Timeout or abort while handling": // of what is proxied, which has no timeout
		return matches(r, "URI", func(uri string) bool { return strings.Contains(uri, "/proxy/") })
	}
	return false
}

// expectedErrors are what controllers say of a reconcile that is repeated in the ordinary course of things.
var expectedErrors = []string{
	// It has read an object before its own last write, or somebody else's, was there to be read.
	"is not as new as written version", "the object has been modified; please apply your changes to the latest version",
	// A namespace is being deleted: Pods are still ending, or something was about to be made in it.
	"unexpected items still remain in namespace", "because it is being terminated",
	// The owner has an event or a condition that says so.
	"exceeded quota",
	// Another sync has made it, from a name that says what is in it.
	"failed to construct revisions",
	// Kinds come and go: the garbage collector and the quota controller are made to look anew, which they call a timeout,
	// and count objects of a kind before these are listed. An informer that is in trouble says so itself.
	"timed out waiting for dependency graph builder sync", "not yet synced",
}

// expectedMessages are the same without an error.
var expectedMessages = []string{"Timed out waiting for quota monitor sync", "Unable to sync caches"}

// triesAgain tells of a reconcile that is repeated, as it must be now and then.
func triesAgain(r slog.Record) bool {
	return slices.Contains(expectedMessages, r.Message) || errorMatches(r, func(err string) bool {
		return slices.ContainsFunc(expectedErrors, func(words string) bool { return strings.Contains(err, words) })
	})
}

// isGone tells of a sync or an event whose object was deleted meanwhile, with its namespace or alone.
func isGone(r slog.Record) bool {
	return errorMatches(r, func(err string) bool {
		return strings.HasSuffix(err, " not found") &&
			(strings.HasPrefix(r.Message, "Server rejected event") || strings.HasPrefix(err, "sync ") && strings.Contains(err, " failed with "))
	})
}

// errorMatches looks at the error that a record tells of.
func errorMatches(r slog.Record, match func(err string) bool) bool {
	return matches(r, "err", match)
}

// matches looks at what a record has under a key.
func matches(r slog.Record, key string, match func(value string) bool) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == key && match(a.Value.String())
		return !found
	})
	return found
}

// Enabled is slog.Handler's.
func (h upstream) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// Handle is slog.Handler's.
func (h upstream) Handle(ctx context.Context, r slog.Record) error {
	if hangsUp(r) || triesAgain(r) || isGone(r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h upstream) WithAttrs(attrs []slog.Attr) slog.Handler {
	return upstream{h.Handler.WithAttrs(attrs)}
}

// WithGroup is slog.Handler's.
func (h upstream) WithGroup(name string) slog.Handler { return upstream{h.Handler.WithGroup(name)} }
