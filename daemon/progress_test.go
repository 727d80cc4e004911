package daemon

import (
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
	if out.Len() > 0 {
		t.Errorf("it says %s", out.String())
	}
	log.With("a", 1).Error("Unhandled Error", "err", "no")
	if got := out.String(); !strings.Contains(got, `msg="Unhandled Error"`) || !strings.Contains(got, "a=1") {
		t.Errorf("it says %q", got)
	}
}
