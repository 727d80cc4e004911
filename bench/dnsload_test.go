package main

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// answerer answers every query with the given address until the test ends.
func answerer(t *testing.T, address [4]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, dnsSize)
		for {
			n, client, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if err := message.Unpack(buf[:n]); err != nil {
				t.Error(err)
				return
			}
			message.Response = true
			message.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: address},
			}}
			reply, err := message.Pack()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.WriteToUDPAddrPort(reply, client); err != nil {
				return
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestAServerIsAskedAndItsAnswersAreCounted(t *testing.T) {
	server := answerer(t, [4]byte{10, 96, 0, 7})
	if err := awaitAnswer(t.Context(), server, netip.MustParseAddr("10.96.0.7")); err != nil {
		t.Fatal(err)
	}
	answered, took, err := load(t.Context(), server, 20*time.Millisecond)
	if err != nil || answered <= 0 || took <= 0 {
		t.Errorf("load = %d in %v, %v", answered, took, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitAnswer(ctx, server, netip.MustParseAddr("10.96.0.8")); err == nil {
		t.Error("a wrong address is accepted")
	}
}

func TestAnAnswerWithAnErrorIsNoAnswer(t *testing.T) {
	question, err := query(dnsName)
	if err != nil {
		t.Fatal(err)
	}
	reply := append([]byte(nil), question...)
	reply[7] = 1 // one answer
	if err := check(question, reply); err != nil {
		t.Error(err)
	}
	nameError := append([]byte(nil), reply...)
	nameError[3] |= 3
	other := append([]byte(nil), reply...)
	other[1]++
	for what, reply := range map[string][]byte{"no record": question, "NXDOMAIN": nameError, "another question's": other, "nothing": nil} {
		if check(question, reply) == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}
