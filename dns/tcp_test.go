package dns

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestOneTCPConnectionCarriesManyQueries(t *testing.T) {
	c := startCluster(t, nil, town()...)
	conn := c.dial("tcp")
	const queries = 5
	for range queries { // all are sent before the first reply is read
		if err := conn.WriteMsg(newQuestion(echoA)); err != nil {
			t.Fatal(err)
		}
	}
	for range queries {
		reply, err := conn.ReadMsg()
		if err != nil || len(reply.Answer) != 1 {
			t.Fatalf("reply %v, error %v", reply, err)
		}
	}
}

// TestSilentClientsDoNotLockOutOthers opens more connections than the server
// keeps, each of which sends half a query.
func TestSilentClientsDoNotLockOutOthers(t *testing.T) {
	c := newCluster(t, Options{}, nil, town()...)
	c.tcpIdle = time.Hour
	c.run()
	var first net.Conn
	for i := range maxTCPConns + 20 {
		conn := c.dial("tcp")
		if i == 0 {
			first = conn.Conn
		}
		if _, err := conn.Conn.Write([]byte{0, 40, 1}); err != nil && i > 0 {
			t.Fatal(err)
		}
	}
	if reply := c.ask("tcp", echoA); len(reply.Answer) != 1 {
		t.Errorf("no answer over TCP beside silent clients:\n%v", reply)
	}
	if reply := c.ask("udp", echoA); len(reply.Answer) != 1 {
		t.Errorf("no answer over UDP beside silent clients:\n%v", reply)
	}
	// The one that was silent for longest had to go.
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first silent client is still connected (%v)", err)
	}
}

func TestASlowQueryEndsTheConnection(t *testing.T) {
	c := newCluster(t, Options{}, nil, town()...)
	c.tcpIdle = 100 * time.Millisecond
	c.run()
	conn := c.dial("tcp").Conn
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	for { // one byte after the other: each comes in time, the whole never does
		select {
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a client that sends a byte now and then stays connected")
			}
			return
		case <-time.After(5 * time.Millisecond):
			conn.Write([]byte{100})
		}
	}
}

func TestAMalformedTCPQueryIsAnsweredAndNoiseEndsTheConnection(t *testing.T) {
	c := startCluster(t, nil, town()...)
	conn := c.dial("tcp").Conn
	malformed := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 'x'}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(malformed))), malformed...)); err != nil {
		t.Fatal(err)
	}
	reply, err := (&dns.Conn{Conn: conn}).ReadMsg()
	if err != nil || reply.Rcode != dns.RcodeFormatError || reply.Id != 0x1234 {
		t.Fatalf("want FORMERR, got %v %v", reply, err)
	}
	if _, err := conn.Write([]byte{0, 3, 'x', 'y', 'z'}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after noise: %v, want the end of the connection", err)
	}
}
