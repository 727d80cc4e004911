package dns

import (
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// stub is a nameserver outside the cluster.
type stub struct {
	addr  string
	asked atomic.Int64 // but for probes
}

// startStub answers on ip over UDP and TCP. With port 0 it takes a free one.
func startStub(t *testing.T, ip string, port uint16, handle dns.HandlerFunc) (*stub, uint16) {
	t.Helper()
	s := &stub{addr: ip}
	sockets, err := listen(net.JoinHostPort(ip, strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range sockets.udp[1:] {
		conn.Close()
	}
	counted := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Question[0].Name != "." {
			s.asked.Add(1)
		}
		handle(w, m)
	})
	for _, server := range []*dns.Server{
		{PacketConn: sockets.udp[0], Handler: counted},
		{Listener: sockets.tcp, Handler: counted},
	} {
		started, ended := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			server.Shutdown()
			<-ended
		})
	}
	return s, sockets.addr.Port()
}

// outside runs a cluster whose resolv.conf names stubs at 127.0.0.2, 127.0.0.3
// and so on, one for each handler.
func outside(t *testing.T, handlers ...dns.HandlerFunc) (*cluster, []*stub) {
	t.Helper()
	c := newCluster(t, Options{}, nil, town()...)
	var stubs []*stub
	var addrs []string
	for i, handle := range handlers {
		ip := "127.0.0." + strconv.Itoa(i+2)
		s, port := startStub(t, ip, c.forward.conf.port*uint16(min(i, 1)), handle)
		c.forward.conf.port = port
		stubs, addrs = append(stubs, s), append(addrs, ip)
	}
	c.writeResolvConf(addrs...)
	return c, stubs
}

// run starts the cluster and waits until it knows its Services.
func (c *cluster) run() {
	c.t.Helper()
	c.start()
	c.eventually("the snapshot is complete", func() bool { return c.current.Load().complete })
}

// hosts answers every A question with the address, and is authoritative.
func hosts(ip string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		reply.Authoritative = true
		if m.Question[0].Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.ParseIP(ip)}}
		}
		w.WriteMsg(reply)
	}
}

// fails answers with an error code only.
func fails(rcode int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(m, rcode)) }
}

// silent never answers.
func silent(dns.ResponseWriter, *dns.Msg) {}

// cutOnUDP has an answer that only TCP carries.
func cutOnUDP(w dns.ResponseWriter, m *dns.Msg) {
	if w.RemoteAddr().Network() == "udp" {
		reply := new(dns.Msg).SetReply(m)
		reply.Truncated = true
		w.WriteMsg(reply)
		return
	}
	hosts("192.0.2.80")(w, m)
}

// spoofed sends what an attacker would before the true answer.
func spoofed(w dns.ResponseWriter, m *dns.Msg) {
	wrongID := m.Copy()
	wrongID.Id++
	wrongName := m.Copy()
	wrongName.Question[0].Name = "evil.example."
	hosts("203.0.113.66")(w, wrongID)
	hosts("203.0.113.66")(w, wrongName)
	w.Write([]byte("not DNS at all, but longer than a header"))
	w.WriteMsg(m) // a question, no reply
	hosts("192.0.2.80")(w, m)
}

// garbled answers with a packet that stops in the middle of a record.
func garbled(w dns.ResponseWriter, m *dns.Msg) {
	reply := new(dns.Msg).SetReply(m)
	reply.Answer = []dns.RR{&dns.TXT{Hdr: header(m.Question[0].Name, dns.TypeTXT), Txt: []string{"a long text that is cut"}}}
	packed, _ := reply.Pack()
	w.Write(packed[:len(packed)-5])
}
