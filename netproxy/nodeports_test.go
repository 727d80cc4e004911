package netproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

type closer func()

func (c closer) Close() error { c(); return nil }

func TestReservations(t *testing.T) {
	web, dns := nodePort{protocol: corev1.ProtocolTCP, port: 30080}, nodePort{protocol: corev1.ProtocolUDP, port: 30053}
	open := map[nodePort]int{}
	inUse := map[nodePort]bool{dns: true}
	r := reservations{held: map[nodePort]io.Closer{}, open: func(n nodePort) (io.Closer, error) {
		if inUse[n] {
			return nil, errors.New("in use")
		}
		open[n]++
		return closer(func() { open[n]-- }), nil
	}}
	if taken := r.reserve(map[nodePort]bool{web: true, dns: true}); len(taken) != 1 || taken[dns] == nil {
		t.Errorf("taken: %v", taken)
	}
	inUse[dns] = false
	if taken := r.reserve(map[nodePort]bool{web: true, dns: true}); len(taken) != 0 {
		t.Errorf("taken when it is free: %v", taken)
	}
	if open[web] != 1 || open[dns] != 1 {
		t.Errorf("open: %v", open)
	}
	r.reserve(map[nodePort]bool{dns: true})
	if open[web] != 0 || open[dns] != 1 {
		t.Errorf("open when one is not wanted any more: %v", open)
	}
	r.reserve(nil)
	if open[dns] != 0 || len(r.held) != 0 {
		t.Errorf("open in the end: %v", open)
	}
}

func TestAPortOfOneAddressAndOfAllAreHeldSideBySide(t *testing.T) {
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		one := nodePort{protocol: protocol, port: freePort(t), addr: netip.MustParseAddr("127.0.0.1")}
		all := nodePort{protocol: protocol, port: one.port}
		for _, order := range [][]nodePort{{one, all}, {all, one}} {
			r := reservations{open: openNodePort, held: map[nodePort]io.Closer{}}
			want := map[nodePort]bool{}
			for _, n := range order {
				want[n] = true
				if taken := r.reserve(want); len(taken) > 0 {
					t.Errorf("%v beside %v: %v", n, want, taken)
				}
			}
			network, at := strings.ToLower(string(protocol))+"4", netip.AddrPortFrom(one.addr, one.port).String()
			if protocol == corev1.ProtocolTCP {
				if l, err := net.Listen(network, at); err == nil {
					l.Close()
					t.Errorf("a program can take %s", one)
				}
			} else if l, err := net.ListenPacket(network, at); err == nil {
				l.Close()
				t.Errorf("a program can take %s", one)
			}
			r.reserve(nil)
		}
	}
}

// freePort is one that nobody has at the moment.
func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestAHeldPortRefusesAndKeepsOthersAway(t *testing.T) {
	n := nodePort{protocol: corev1.ProtocolTCP, port: freePort(t)}
	held, err := openNodePort(n)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", n.port)
	if c, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a connection to it: %v, %v", c, err)
	}
	for _, at := range []string{address, fmt.Sprintf(":%d", n.port)} {
		if l, err := net.Listen("tcp", at); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("listening at %s: %v, %v", at, l, err)
		}
	}
	if again, err := openNodePort(n); err == nil {
		again.Close()
		t.Error("a second instance could hold it too")
	}
	held.Close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("after it was given up: %v", err)
	}
	defer l.Close()
	if again, err := openNodePort(n); err == nil {
		again.Close()
		t.Error("a port that a process listens at on one address could be held")
	}
}

func TestAHeldUDPPortKeepsOthersAway(t *testing.T) {
	n := nodePort{protocol: corev1.ProtocolUDP, port: freePort(t)}
	held, err := openNodePort(n)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if l, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", n.port)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%v, %v", l, err)
	}
}

func TestWhoHasAPort(t *testing.T) {
	proc := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(proc, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	write("thread-self/net/tcp", head+
		"   0: 0100007F:7580 0200007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 111 1\n"+
		"   1: 0100007F:7580 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 222 1\n")
	write("thread-self/net/udp6", head+
		"   0: 00000000000000000000000000000000:7580 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 333 2\n")
	for pid, p := range map[string][2]string{"41": {"client", "111"}, "42": {"nginx", "222"}, "43": {"my dns", "333"}} {
		write(pid+"/comm", p[0]+"\n")
		write(pid+"/fd/0", "")
		if err := os.Symlink("socket:["+p[1]+"]", filepath.Join(proc, pid, "fd/3")); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[nodePort]string{
		{protocol: corev1.ProtocolTCP, port: 0x7580}: "nginx (pid 42)",
		{protocol: corev1.ProtocolUDP, port: 0x7580}: "my dns (pid 43)",
		{protocol: corev1.ProtocolTCP, port: 0x7581}: "",
	} {
		if got := portOwner(proc, n); got != want {
			t.Errorf("%s: got %q, want %q", n, got, want)
		}
	}
}

func TestATroubleIsToldOnceForAsLongAsItLasts(t *testing.T) {
	recorder := record.NewFakeRecorder(10)
	services := []*corev1.Service{svc("web", "10.96.0.2", "80/TCP:30080"), svc("dns", "10.96.0.3", "53/SCTP")}
	services[0].Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	ports := snapshot(services, nil, oneNode("n1"))
	taken := map[nodePort]error{{protocol: corev1.ProtocolTCP, port: 30080}: errors.New("in use")}
	told := troubles{}
	object := func(tr trouble) runtime.Object {
		for _, s := range services {
			if s.Name == tr.name.Name {
				return s
			}
		}
		return nil
	}
	tell := func(taken map[nodePort]error, f features) string {
		told.tell(recorder, object, serviceTroubles(ports, taken, f), func(trouble) bool { return true })
		var events []string
		for len(recorder.Events) > 0 {
			words := strings.Fields(<-recorder.Events)
			events = append(events, words[0]+" "+words[1])
		}
		return sorted(strings.Join(events, ";"))
	}
	all := features{recent: true, sctp: true}
	for i, step := range []struct {
		got, want string
	}{
		{tell(nil, all), ""},
		{tell(taken, all), "Warning NodePortUnavailable"},
		{tell(taken, all), ""},
		{tell(nil, all), "Normal NodePortServed"},
		{tell(taken, all), "Warning NodePortUnavailable"},
		{tell(taken, features{sctp: true}), "Warning SessionAffinityUnavailable"},
		{tell(taken, features{recent: true}), "Warning ProtocolUnavailable"},
	} {
		if sorted(step.got) != sorted(step.want) {
			t.Errorf("step %d: got %q, want %q", i, step.got, step.want)
		}
	}
	services = nil // gone, and its troubles with it
	if got := tell(nil, all); got != "" {
		t.Errorf("after the Service: %q", got)
	}
}
