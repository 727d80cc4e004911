package netproxy

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideEnv tells the test binary that it runs in a network namespace of its own.
const insideEnv = "KUBE_LITE_NETPROXY_TEST_INSIDE"

// TestMain starts the test binary again in throw-away network and mount namespaces, so that the tests against the
// real kernel cannot touch this machine's rules, and the kernel removes whatever they leave.
func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		if err := moveIn(); err != nil {
			fmt.Fprintln(os.Stderr, "no tests against the kernel:", err)
			os.Unsetenv(insideEnv)
		}
		os.Exit(m.Run())
	}
	if _, err := findIPTables(ipv4); os.Geteuid() != 0 || err != nil {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is about the thread
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "no tests against the kernel: starting them in namespaces of their own:", err)
		os.Exit(m.Run())
	}
	_ = cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

// moveIn makes /sys and `ip netns` show the new namespace.
func moveIn() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run/netns", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /run/netns: %w", err)
	}
	return exec.Command("ip", "link", "set", "lo", "up").Run()
}

func needKernel(t testing.TB) {
	if os.Getenv(insideEnv) == "" {
		t.Skip("needs root, iptables and the right to make namespaces: the rules are tried in a network namespace")
	}
}

// lab is the little world on the real kernel: a bridge with two pods, and a stranger on the LAN.
type lab struct {
	t    testing.TB
	b    *iptablesTools
	mode Mode
	family
}

func newLab(t testing.TB, mode Mode) *lab {
	needKernel(t)
	b, err := findIPTables(ipv4)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, b: b, mode: mode}
	t.Cleanup(l.remove)
	l.sh("sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.icmp.ratelimit=0")
	l.ip("link add %s type bridge", testBridge)
	l.ip("address add %s/16 dev %s", gateway, testBridge)
	l.ip("address add %s dev %s nodad", sixth(gateway+"/16"), testBridge)
	l.ip("address add %s/32 dev %s", nodeB, testBridge)
	l.ip("address add %s dev %s nodad noprefixroute", sixth(nodeB+"/15"), testBridge)
	l.ip("link set %s up", testBridge)
	l.wire("a", "va0", podA+"/16")
	l.wire("b", "vb0", podB+"/16")
	l.wire("stranger", "lan0", strangerLAN+"/24")
	l.ip("link set va0 master %s", testBridge)
	l.ip("link set vb0 master %s", testBridge)
	for _, f := range families() {
		l.ip("address add %s dev lan0", f.text(hostOnLAN+"/24"))
		l.ip("-n a route add default via %s", f.text(gateway))
		l.ip("-n b route add default via %s", f.text(gateway))
		l.ip("-n stranger route add default via %s", f.text(hostOnLAN))
		l.ip("route add default via %s", f.text(strangerLAN))
	}
	l.sh("sysctl -qw net.ipv4.icmp_ratelimit=0") // one error a second would make a test of refusals wait
	return l
}

// wire makes a network namespace with one device, whose other end is device.
func (l *lab) wire(ns, device, cidr string) {
	l.ip("netns add %s", ns)
	l.ip("link add %s type veth peer name eth0 netns %s", device, ns)
	l.ip("link set %s up", device)
	l.ip("-n %s address add %s dev eth0", ns, cidr)
	l.ip("-n %s address add %s dev eth0 nodad", ns, sixth(cidr))
	l.ip("-n %s link set lo up", ns)
	l.ip("-n %s link set eth0 up", ns)
}

func (l *lab) ip(format string, args ...any) {
	l.t.Helper()
	l.sh("ip " + fmt.Sprintf(format, args...))
}

func (l *lab) sh(command string) string {
	l.t.Helper()
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// remove leaves the namespace as it was, for the next test.
func (l *lab) remove() {
	for _, command := range []string{
		"ip link delete " + testBridge, "ip link delete va0", "ip link delete vb0", "ip link delete lan0",
		"ip netns delete a", "ip netns delete b", "ip netns delete stranger",
		"iptables -F", "iptables -X", "iptables -t nat -F", "iptables -t nat -X", "iptables -P FORWARD ACCEPT", "iptables -P INPUT ACCEPT",
		"ip6tables -F", "ip6tables -X", "ip6tables -t nat -F", "ip6tables -t nat -X", "ip6tables -P FORWARD ACCEPT", "ip6tables -P INPUT ACCEPT",
		"nft delete table ip6 " + nftTable("test"), "sysctl -qw net.bridge.bridge-nf-call-ip6tables=1", "sysctl -qw net.ipv4.conf.all.rp_filter=0",
		"nft delete table ip " + nftTable("test"), "nft delete table ip " + nftTable("other"),
		"sysctl -qw net.bridge.bridge-nf-call-iptables=1",
	} {
		_ = exec.Command("sh", "-c", command).Run()
	}
	l.forgetFlows()
}

// forgetFlows has the kernel decide anew about every flow: of UDP an older one with the same ports is known for half a minute.
func (l *lab) forgetFlows() {
	if err := netlink.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		l.t.Error(err)
	}
}

// in calls do on a thread in the namespace of an address; sockets made there stay there.
func (l *lab) in(address string, do func() error) {
	l.t.Helper()
	ns := map[string]string{podA: "a", podB: "b", strangerLAN: "stranger",
		sixth(podA): "a", sixth(podB): "b", sixth(strangerLAN): "stranger"}[address]
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- func() error {
			if ns != "" {
				f, err := os.Open(filepath.Join("/run/netns", ns))
				if err != nil {
					return err
				}
				defer f.Close()
				if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
					return err
				}
			}
			return do()
		}()
	}()
	if err := <-done; err != nil {
		l.t.Fatal(err)
	}
}

// serve answers at address:port, TCP and UDP, with "address:port<-client".
func (l *lab) serve(address string, port int) {
	l.t.Helper()
	at := net.JoinHostPort(address, strconv.Itoa(port))
	l.in(address, func() error {
		tcp, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		udp, err := net.ListenPacket("udp", at)
		if err != nil {
			return err
		}
		l.t.Cleanup(func() { tcp.Close(); udp.Close() })
		go func() {
			for {
				c, err := tcp.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s<-%s", at, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr())
				c.Close()
			}
		}()
		go func() {
			buffer := make([]byte, 16)
			for {
				_, from, err := udp.ReadFrom(buffer)
				if err != nil {
					return
				}
				fmt.Fprintf(&packetWriter{udp, from}, "%s<-%s", at, netip.MustParseAddrPort(from.String()).Addr())
			}
		}()
		return nil
	})
}

type packetWriter struct {
	net.PacketConn
	to net.Addr
}

func (w *packetWriter) Write(b []byte) (int, error) { return w.WriteTo(b, w.to) }

// ask connects once and returns the answer, or refused, or what else happened.
func (l *lab) ask(from, to string) (answer string) {
	l.t.Helper()
	l.in(from, func() error {
		answer = askHere(to)
		return nil
	})
	return answer
}

func askHere(to string) string { return askWithin(to, time.Second) }

// askWithin waits no longer for each step.
func askWithin(to string, limit time.Duration) string {
	network, address, _ := strings.Cut(to, "://")
	c, err := net.DialTimeout(network, address, limit)
	if err == nil {
		defer c.Close()
		err = c.SetDeadline(time.Now().Add(limit))
	}
	if err == nil && network == "udp" {
		_, err = c.Write([]byte("?"))
	}
	buffer := make([]byte, 128)
	n := 0
	if err == nil {
		n, err = c.Read(buffer)
	}
	// EPERM is what a local sender gets whose packet is rejected before it left.
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EPERM) {
		return refused
	}
	if err != nil {
		return err.Error()
	}
	return string(buffer[:n])
}

// askAll asks until everything in want was seen, or for long enough to see whether anything else comes.
func (l *lab) askAll(from, to, want string) string {
	seen := map[string]bool{}
	enough := 8 * len(strings.Fields(want)) // chance of missing one of two: 2^-16; then it goes on
	for i := 0; i < enough || i < 100 && len(seen) < len(strings.Fields(want)); i++ {
		seen[l.ask(from, to)] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), " ")
}

// host prepares the kernel as Run does.
func (l *lab) host() *host {
	return &host{bridge: testBridge, serviceCIDR: l.settings().serviceCIDR, log: slog.New(slog.DiscardHandler), told: map[string]bool{}}
}

// backend is what a Proxy would use.
func (l *lab) backend() backend {
	l.t.Helper()
	tools, err := findKernelTools(l.mode, l.family, "test")
	if err != nil {
		l.t.Fatal(err)
	}
	return tools.backend("test", testBridge, slog.New(slog.DiscardHandler))
}

// inEachMode runs a test with each backend.
func inEachMode(t *testing.T, do func(t *testing.T, l *lab)) {
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) { do(t, newLab(t, mode)) })
	}
}

// makeBlind has the bridge hide from iptables what it switches. On a kernel that cannot, there is nothing to test.
func (l *lab) makeBlind() {
	if err := set("/proc/sys/net/bridge/bridge-nf-call-"+l.iptables(), "0"); err != nil {
		l.t.Skip(err)
	}
	_ = set("/sys/class/net/"+testBridge+"/bridge/nf_call_"+l.iptables(), "0")
	l.forgetFlows()
}

func TestEveryPathInTheKernel(t *testing.T) { inEachMode(t, everyPathInTheKernel) }

func TestEveryPathOfIPv6InTheKernel(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.family = ipv6
		everyPathInTheKernel(t, l)
	})
}

func everyPathInTheKernel(t *testing.T, l *lab) {
	for _, pod := range []string{podA, podB} {
		l.serve(l.text(pod), 8080)
		l.serve(l.text(pod), 9090)
	}
	l.serve(l.text(gateway), 6443)
	l.serve(l.text(strangerLAN), 8080)
	if seen, err := l.host().ensure(); err != nil || !seen {
		t.Fatalf("preparing the kernel: %v, %v", seen, err)
	}
	program := l.iptables()
	l.sh(program + " -P FORWARD DROP") // as Docker has it
	l.sh(program + " -P INPUT DROP")   // and ufw
	l.sh(program + " -A INPUT -i lo -j ACCEPT")
	l.sh(program + " -A INPUT -m state --state ESTABLISHED -j ACCEPT")
	if l.family == ipv6 {
		l.sh("ip6tables -A INPUT -p ipv6-icmp -j ACCEPT")
	}
	l.sh("sysctl -qw net.ipv4.conf.all.rp_filter=1") // and careful people
	b, last := l.backend(), settings{}
	for _, p := range l.paths() {
		t.Run(p.says, func(t *testing.T) {
			l.t = t
			if p.blind {
				l.makeBlind()
			}
			if want := p.settings(l.family); !reflect.DeepEqual(want, last) {
				if _, err := b.apply(t.Context(), desiredOf(want, l.worldPorts(), l.worldHosts()), changes{all: true}); err != nil {
					t.Fatal(err)
				}
				last = want
			}
			if p.want == "dropped" {
				if got := l.ask(p.from, p.to); !strings.Contains(got, "timeout") {
					t.Errorf("%s to %s: got %s", p.from, p.to, got)
				}
				return
			}
			if p.want == untouched { // what is not translated can only be answered by who was asked
				if got := l.ask(p.from, p.to); strings.Contains(got, "<-") && "tcp://"+strings.Split(got, "<-")[0] != p.to {
					t.Errorf("%s to %s: got %s", p.from, p.to, got)
				}
				return
			}
			got, want := l.askAll(p.from, p.to, p.want), p.want
			if strings.HasSuffix(p.want, ":6443<-host") { // from whichever of its own addresses
				got, _, _ = strings.Cut(got, "<-")
				want, _, _ = strings.Cut(want, "<-")
			}
			if got != want {
				t.Errorf("%s to %s:\n got %s\nwant %s", p.from, p.to, got, want)
			}
		})
	}
}
