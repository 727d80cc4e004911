package daemon

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestOfUpstreamsLogOnlyWhatIsOfUseIsKept(t *testing.T) {
	var out strings.Builder
	log := slog.New(upstream{slog.NewTextHandler(&out, nil)})
	log.Info("chatter")
	log.Error("Error on socket receive", "err", "use of closed network connection")
	log.With("a", 1).WithGroup("b").Error("Error proxying data from client to backend", "err", "unexpected EOF")
	log.Error("Failed to encode watch event", "err", errors.New("http2: stream closed"))
	log.Error("Unhandled Error", "err", errors.New("sync failed with read version: 31 is not as new as written version: 46"))
	log.Error("Unhandled Error", "err", errors.New(`sync "a/b" failed with pods "b-x" is forbidden: exceeded quota: few, requested: pods=1`))
	log.Error("Unhandled Error", "err", errors.New(`sync "a/b" failed with replicasets.apps "b" not found`))
	log.Error("Plugin Failed", "err", errors.New(`pods "p" is forbidden: unable to create new content in namespace a because it is being terminated`))
	log.Error("Server rejected event (will not retry!)", "err", errors.New(`namespaces "a" not found`))
	log.Error("Unhandled Error", "err", errors.New("timed out waiting for dependency graph builder sync during GC sync"))
	log.Error("Unable to sync caches")
	log.Error("Error processing resource quota work item", "err", errors.New("failed to list content: example.com/v1, Resource=as not yet synced"))
	log.Error("Timeout or abort while handling", "method", "POST", "URI", "/api/v1/nodes/vm/proxy/intercepts/default/web?to=localhost%3A1")
	if out.Len() > 0 {
		t.Errorf("it says %s", out.String())
	}
	log.With("a", 1).Error("Unhandled Error", "err", "no")
	log.Error("Failed to encode watch event", "err", errors.New("no such type"))
	log.Error("Unhandled Error", "err", errors.New(`storageclass "fast" not found`))
	log.Error("Timeout or abort while handling", "method", "GET", "URI", "/api/v1/pods")
	if got := out.String(); !strings.Contains(got, "no such type") || !strings.Contains(got, "fast") || !strings.Contains(got, `msg="Unhandled Error"`) || !strings.Contains(got, "a=1") || !strings.Contains(got, "/api/v1/pods") {
		t.Errorf("it says %q", got)
	}
}
