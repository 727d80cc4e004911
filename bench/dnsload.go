package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/errgroup"
)

const (
	// dnsClients keep both cores of a small machine busy, and the queue of a socket far from full.
	dnsClients = 16
	// dnsPatience is when an answer counts as lost: an error, for nothing may be lost on one machine.
	dnsPatience = 2 * time.Second
	// dnsSize is more than any answer here has.
	dnsSize = 1232
)

// query packs a question for the name's address.
func query(name string) ([]byte, error) {
	parsed, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: parsed, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return message.Pack()
}

// load has a server asked by dnsClients for d, each of which waits for its answer before it asks again.
func load(ctx context.Context, server netip.AddrPort, d time.Duration) (answered int64, took time.Duration, err error) {
	packed, err := query(dnsName)
	if err != nil {
		return 0, 0, err
	}
	var sum atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range dnsClients {
		group.Go(func() error {
			n, err := ask(ctx, server, packed, began.Add(d))
			sum.Add(n)
			return err
		})
	}
	err = group.Wait()
	return sum.Load(), time.Since(began), err
}

// ask asks on a socket of its own until the time is over. Every answer is looked at, but not taken apart.
func ask(ctx context.Context, server netip.AddrPort, packed []byte, until time.Time) (answered int64, err error) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	question, reply := append([]byte(nil), packed...), make([]byte, dnsSize)
	for id := uint16(0); time.Now().Before(until); id++ {
		if ctx.Err() != nil {
			return answered, ctx.Err()
		}
		binary.BigEndian.PutUint16(question, id)
		if err := exchange(conn, question, reply); err != nil {
			return answered, fmt.Errorf("%s: %w", server, err)
		}
		answered++
	}
	return answered, nil
}

// exchange sends a question and reads its answer.
func exchange(conn *net.UDPConn, question, reply []byte) error {
	if err := conn.SetReadDeadline(time.Now().Add(dnsPatience)); err != nil {
		return err
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	n, err := conn.Read(reply)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer within %v", dnsPatience)
	}
	if err != nil {
		return err
	}
	return check(question, reply[:n])
}

// check makes sure that it is this question's answer, without error, and has one record (RFC 1035, section 4.1.1).
func check(question, reply []byte) error {
	const header, rcode = 12, 0x0f
	if len(reply) < header || binary.BigEndian.Uint16(reply) != binary.BigEndian.Uint16(question) ||
		reply[3]&rcode != 0 || binary.BigEndian.Uint16(reply[6:]) != 1 {
		return fmt.Errorf("not the answer to a query: % x", reply[:min(len(reply), header)])
	}
	return nil
}

// awaitAnswer waits until the server knows the right address: both learn of it from a watch.
func awaitAnswer(ctx context.Context, server netip.AddrPort, want netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	packed, err := query(dnsName)
	if err != nil {
		return err
	}
	for {
		got, err := resolve(server, packed)
		if err == nil && got == want {
			return nil
		}
		if sleep(ctx, goneInterval) != nil {
			return fmt.Errorf("%s does not answer %s for %s: %s: %w", server, want, dnsName, got, err)
		}
	}
}

// resolve asks once and takes the answer apart.
func resolve(server netip.AddrPort, packed []byte) (netip.Addr, error) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	reply := make([]byte, dnsSize)
	if err := exchange(conn, packed, reply); err != nil {
		return netip.Addr{}, err
	}
	var message dnsmessage.Message
	if err := message.Unpack(reply); err != nil {
		return netip.Addr{}, err
	}
	if a, ok := message.Answers[0].Body.(*dnsmessage.AResource); ok {
		return netip.AddrFrom4(a.A), nil
	}
	return netip.Addr{}, fmt.Errorf("the answer is a %s", message.Answers[0].Header.Type)
}
