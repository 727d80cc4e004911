package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// ownEtc runs a program on a machine whose /etc is a copy: what it changes there, this machine never sees. The mounts below
// $2, where instances have their data, stay those that Docker sees.
const ownEtc = `#!/bin/sh
exec unshare --mount --propagation=unchanged /bin/sh -c 'mount --make-private / && mount --bind "$1" /etc && shift && exec "$@"' sh '%s' %s "$@"
`

// machineCopy is this machine with an /etc, and so a resolver, of its own.
type machineCopy struct{ dir string }

// copyMachine makes one whose nameserver knows outside.example alone.
func copyMachine(t *testing.T) machineCopy {
	m := machineCopy{t.TempDir()}
	for _, command := range [][]string{
		{"mount", "--bind", m.dir, m.dir}, {"mount", "--make-shared", m.dir},
		{"cp", "--archive", "/etc", m.dir},
	} {
		if _, err := output(command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
		if command[1] == "--bind" {
			t.Cleanup(func() {
				if _, err := output("umount", m.dir); err != nil {
					t.Error(err)
				}
			})
		}
	}
	m.write(t, fmt.Sprintf("nameserver %s\noptions timeout:1 attempts:1\n", startNameserver(t)))
	return m
}

func (m machineCopy) resolvConf() string { return filepath.Join(m.dir, "etc/resolv.conf") }

func (m machineCopy) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(m.resolvConf(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m machineCopy) read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(m.resolvConf())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// program returns the path of a program that runs another one on the copy.
func (m machineCopy) program(t *testing.T, path string) string {
	t.Helper()
	script := filepath.Join(m.dir, "run-"+filepath.Base(path))
	if err := os.WriteFile(script, fmt.Appendf(nil, ownEtc, filepath.Join(m.dir, "etc"), path), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}

// finds is what a program of the copy finds at a name: the answer of the web server there.
func (m machineCopy) finds(t *testing.T, url string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, m.program(t, "/usr/bin/curl"), "--silent", "--show-error", "--max-time", "10", "--noproxy", "*", url).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (m machineCopy) waitFor(t *testing.T, url, want string) {
	t.Helper()
	eventually(t, func() error {
		got, err := m.finds(t, url)
		if err == nil && got != want {
			err = fmt.Errorf("it answers %q", got)
		}
		return err
	})
}

// outsideIsKnown fails unless names of others are found as before.
func (m machineCopy) outsideIsKnown(t *testing.T) {
	t.Helper()
	out, err := output(m.program(t, "/usr/bin/getent"), "ahostsv4", "outside.example")
	if err != nil || !strings.HasPrefix(out, "192.0.2.80 ") {
		t.Errorf("outside.example is %q, %v; want 192.0.2.80", out, err)
	}
}

// startInstance starts an instance on the copy.
func (m machineCopy) startInstance(t *testing.T) *instance {
	t.Helper()
	t.Setenv("TMPDIR", m.dir) // Docker is to see what the instance mounts
	i, err := newInstance()
	if err != nil {
		t.Fatal(err)
	}
	i.binary = m.program(t, cluster.binary)
	i.removeAtEnd(t)
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	return i
}

// startNameserver answers for outside.example, and says of all other names that they do not exist.
func startNameserver(t *testing.T) (addr string) {
	t.Helper()
	var conn net.PacketConn
	for n := 53; conn == nil; n++ { // NodePorts and load balancers have other ports
		addr = fmt.Sprintf("127.53.0.%d", n)
		var err error
		if conn, err = net.ListenPacket("udp4", addr+":53"); err != nil && n == 63 {
			t.Fatal(err)
		}
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		if m.Question[0].Name != "outside.example." {
			reply.Rcode = dns.RcodeNameError
		} else if m.Question[0].Qtype == dns.TypeA {
			header := dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
			reply.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IPv4(192, 0, 2, 80)}}
		}
		_ = w.WriteMsg(reply)
	})}
	started, ended := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-ended
	})
	return addr
}

// said runs a command and fails unless it says this.
func (i *instance) said(t *testing.T, want string, args ...string) {
	t.Helper()
	if got := i.run(t, "", args...); !strings.Contains(got.stdout+got.stderr, want) {
		t.Errorf("kube-lite %s: exit code %d: %s%s; want %q", strings.Join(args, " "), got.code, got.stdout, got.stderr, want)
	}
}

// webURL is of a Service that the test makes.
const webURL = "http://web.default.svc.cluster.local"

func TestProgramsOfThisMachineFindServices(t *testing.T) {
	m := copyMachine(t)
	original := m.read(t)
	red := m.startInstance(t)
	red.said(t, "not enabled", "dns", "status")
	ns := namespace{"default", red}
	ns.apply(t, textServer("web", "web"))
	waitForAnswer(t, "http://"+ns.value(t, "service/web", "{.spec.clusterIP}"), "web")
	if got, err := m.finds(t, webURL); err == nil {
		t.Fatalf("before, %s answers %q", webURL, got)
	}

	red.said(t, "find *.svc.cluster.local now, by /etc/resolv.conf, until", "dns", "enable")
	m.waitFor(t, webURL, "web")
	m.outsideIsKnown(t)
	red.said(t, "enabled, by /etc/resolv.conf", "dns", "status")
	enabled := m.read(t)

	t.Run("a second instance leaves the first its names", func(t *testing.T) {
		blue := m.startInstance(t)
		blue.said(t, "kube-lite --name "+red.name+" dns disable", "dns", "enable")
		blue.said(t, "not enabled", "dns", "status")
		blue.said(t, "has stopped", "stop")
		blue.ready = false
		if got := m.read(t); got != enabled {
			t.Errorf("resolv.conf is %q, was %q", got, enabled)
		}
		m.waitFor(t, webURL, "web")
	})
	t.Run("an end of the daemon leaves other names", func(t *testing.T) { m.testEnds(t, red, original) })
	t.Run("what another program has written stays", func(t *testing.T) {
		m.write(t, enabled+"options ndots:2\n")
		red.said(t, "only the lines of kube-lite were taken out", "dns", "disable")
		if got, want := m.read(t), original+"options ndots:2\n"; got != want {
			t.Errorf("resolv.conf is %q, want %q", got, want)
		}
	})
	t.Run("reset takes it back", func(t *testing.T) { m.testReset(t, red, original) })
}

// testEnds stops the daemon and kills it.
func (m machineCopy) testEnds(t *testing.T, red *instance, original string) {
	t.Run("stop takes it back until the next start", func(t *testing.T) {
		red.said(t, "has stopped", "stop")
		if got := m.read(t); got != original {
			t.Errorf("resolv.conf is %q, was %q", got, original)
		}
		m.outsideIsKnown(t)
		red.said(t, "not in effect", "dns", "status")
		if err := red.up(); err != nil {
			t.Fatal(err)
		}
		m.waitFor(t, webURL, "web")
	})
	t.Run("with the daemon killed other names are found", func(t *testing.T) {
		red.kill(t)
		m.outsideIsKnown(t)
		if err := red.up(); err != nil {
			t.Fatal(err)
		}
		m.waitFor(t, webURL, "web")
	})
}

// testReset resets an instance whose daemon was killed.
func (m machineCopy) testReset(t *testing.T, red *instance, original string) {
	m.write(t, original)
	red.said(t, "until", "dns", "enable")
	red.kill(t)
	red.said(t, "is gone", "reset", "--yes")
	red.ready = false
	if got := m.read(t); got != original {
		t.Errorf("resolv.conf is %q, was %q", got, original)
	}
	if left, _ := filepath.Glob(m.resolvConf() + ".*"); len(left) > 0 {
		t.Errorf("reset left %v", left)
	}
}
