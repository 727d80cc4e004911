package intercept

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestConnectionsGoToTheProcessAndBack(t *testing.T) {
	process := lines(t, "process", "127.0.0.1:0")
	r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
	r.answered("pod")
	before := r.connect()
	a, first := r.intercept(Request{Port: "http", To: process.Addr().String()})
	if first.State != ToProcess || first.Intercept.String() != "default/web:http to "+process.Addr().String() {
		t.Errorf("it begins with %+v", first)
	}
	if want := "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"; first.ResolvConf != want {
		t.Errorf("resolv.conf is %q, want %q", first.ResolvConf, want)
	}
	r.answered("process")
	during := r.connect()
	if got := before.says("still"); got != "pod still" {
		t.Errorf("a connection from before: %q", got)
	}
	if all := r.room.List(); len(all) != 1 || all[0].Service != "web" {
		t.Errorf("listed: %v", all)
	}
	if err := a.end(); err != nil {
		t.Error(err)
	}
	if _, redirected := r.kernel.leads(webPort); redirected || len(r.room.List()) != 0 {
		t.Errorf("after the end: redirected %v, listed %v", redirected, r.room.List())
	}
	r.answered("pod")
	if got := during.says("still"); got != "process still" {
		t.Errorf("a connection of the intercept, after its end: %q", got)
	}
	r.stop()
	if got := during.says("still"); got == "process still" {
		t.Error("a connection has outlived the room")
	}
}

func TestADeadProcessLosesNothing(t *testing.T) {
	process := lines(t, "process", "127.0.0.1:0")
	r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
	a, _ := r.intercept(Request{Port: "80", To: process.Addr().String()})
	r.answered("process")
	next := func(want State) {
		t.Helper()
		select {
		case e := <-a.events:
			if e.State != want || (want == ToPods) != strings.Contains(e.Error, "refused") {
				t.Errorf("told %+v, want %s", e, want)
			}
		case <-time.After(deadline):
			t.Fatalf("never told of %s", want)
		}
	}
	process.Close()
	r.answered("pod")
	r.answered("pod")
	next(ToPods)
	lines(t, "process", process.Addr().String())
	r.answered("process")
	next(ToProcess)
}

func TestLocalhostIsEitherAddress(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		process := lines(t, "process", at)
		r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
		_, port, _ := net.SplitHostPort(process.Addr().String())
		_, first := r.intercept(Request{Port: "http", To: "localhost:" + port})
		if first.State != ToProcess {
			t.Errorf("%s: it begins with %+v", at, first)
		}
		r.answered("process")
	}
}

func TestAPodThatIsGoneIsPassedOver(t *testing.T) {
	nobody := lines(t, "nobody", "127.0.0.1:0")
	r := newRig(t, nobody, lines(t, "pod", "127.0.0.1:0"))
	nobody.Close()
	_, first := r.intercept(Request{Port: "http", To: nobody.Addr().String()})
	if first.State != ToPods {
		t.Errorf("it begins with %+v", first)
	}
	for range 4 {
		r.answered("pod")
	}
}

func TestWithoutAnybodyAConnectionIsReset(t *testing.T) {
	nobody := lines(t, "nobody", "127.0.0.1:0")
	nobody.Close()
	r := newRig(t)
	r.intercept(Request{Port: "http", To: nobody.Addr().String()})
	to, _ := r.kernel.leads(webPort)
	c, err := net.Dial("tcp", to.String()) // the reset may be faster
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeIntercepted(t *testing.T) {
	process := lines(t, "process", "127.0.0.1:0")
	r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
	r.intercept(Request{Port: "http", To: process.Addr().String()})
	for what, c := range map[string]struct {
		request Request
		is      func(error) bool
		says    string
	}{
		"taken":          {Request{Service: "web", Port: "80", To: "localhost:1"}, apierrors.IsConflict, "intercepted already: default/web:http to 127.0.0.1:"},
		"no Service":     {Request{Service: "none", To: "localhost:1"}, apierrors.IsNotFound, `"none" not found`},
		"no address":     {Request{Service: "web", Port: "admin", To: "3000"}, apierrors.IsBadRequest, "use HOST:PORT"},
		"no port":        {Request{Service: "web", Port: "admin", To: "localhost:0"}, apierrors.IsBadRequest, "use HOST:PORT"},
		"no such port":   {Request{Service: "web", Port: "htpp", To: "localhost:1"}, apierrors.IsBadRequest, `has no port "htpp"`},
		"UDP":            {Request{Service: "web", Port: "dns", To: "localhost:1"}, apierrors.IsBadRequest, "no other protocol is intercepted"},
		"which":          {Request{Service: "web", To: "localhost:1"}, apierrors.IsBadRequest, "choose one with --port: http (80), admin (81)"},
		"bad header":     {Request{Service: "web", Port: "admin", To: "localhost:1", Headers: []string{"x-user"}}, apierrors.IsBadRequest, "use KEY=VALUE"},
		"itself":         {Request{Service: "web", Port: "admin", To: "10.96.0.2:81"}, apierrors.IsBadRequest, "is the Service default/web itself"},
		"its ClusterIP":  {Request{Service: "web", Port: "http", To: "10.96.0.2:80"}, apierrors.IsBadRequest, "is the Service default/web itself"},
		"its own number": {Request{Service: "web", Port: "http", To: "localhost:30080"}, apierrors.IsBadRequest, "is the Service default/web itself"},
	} {
		c.request.Namespace = "default"
		err := r.room.Intercept(t.Context(), c.request, func(Event) error { t.Errorf("%s: in force", what); return errors.New("no") })
		if err == nil || !c.is(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s", what, err, c.says)
		}
	}
}

func TestARedirectionThatFailsIsTakenBack(t *testing.T) {
	r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
	r.kernel.fail = errors.New("no iptables")
	err := r.room.Intercept(t.Context(), Request{"default", "web", "http", "localhost:1", nil}, func(Event) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "no iptables") {
		t.Errorf("got %v", err)
	}
	if _, redirected := r.kernel.leads(webPort); redirected || len(r.room.List()) > 0 {
		t.Error("something is left of it")
	}
}

func TestTheRoomEndsItsIntercepts(t *testing.T) {
	r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
	r.intercept(Request{Port: "http", To: "localhost:1"})
	r.stop()
	if _, redirected := r.kernel.leads(webPort); redirected || len(r.room.List()) > 0 {
		t.Error("something is left of it")
	}
	err := r.room.Intercept(context.Background(), Request{"default", "web", "http", "localhost:1", nil}, func(Event) error { return nil })
	if !apierrors.IsServiceUnavailable(err) {
		t.Errorf("afterwards: got %v", err)
	}
}
