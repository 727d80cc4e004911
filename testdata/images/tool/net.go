package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

func udpServe(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	text, err := textOrHostname(args[1:])
	if err != nil {
		return err
	}
	conn, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	closeWhenTerminated(conn)
	for buf := make([]byte, 64<<10); ; {
		n, client, err := conn.ReadFrom(buf)
		if err != nil {
			return unlessClosed(err)
		}
		fmt.Printf("%d bytes from %s\n", n, client)
		if _, err := conn.WriteTo(append([]byte(text+" "), buf[:n]...), client); err != nil {
			fmt.Fprintf(os.Stderr, "answering %s: %v\n", client, err)
		}
	}
}

func udpGet(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	conn, err := dial("udp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, args[1]); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil {
		return err
	}
	fmt.Println(string(buf[:n]))
	return nil
}

func tcpServe(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	text, err := textOrHostname(args[1:])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	closeWhenTerminated(listener)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return unlessClosed(err)
		}
		fmt.Println("connection from", conn.RemoteAddr())
		fmt.Fprintln(conn, text)
		conn.Close()
	}
}

func tcpGet(args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	conn, err := dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

func dial(network, addr string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, addr, requestTimeout)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(requestTimeout))
}

func closeWhenTerminated(c io.Closer) {
	signals := terminated()
	go func() {
		<-signals
		c.Close()
	}()
}

func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// dns asks through Go's own resolver, which follows the container's resolv.conf: search list, ndots, name servers.
func dns(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	resolver := &net.Resolver{PreferGo: true}
	if len(args) > 2 {
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, args[2])
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	lines, err := lookup(ctx, resolver, strings.ToUpper(args[0]), args[1])
	if err != nil {
		return err
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
	return nil
}

func lookup(ctx context.Context, r *net.Resolver, kind, name string) ([]string, error) {
	switch kind {
	case "A", "AAAA":
		network := map[string]string{"A": "ip4", "AAAA": "ip6"}[kind]
		addrs, err := r.LookupNetIP(ctx, network, name)
		return printed(addrs, func(a netip.Addr) string { return a.Unmap().String() }, err)
	case "CNAME":
		target, err := r.LookupCNAME(ctx, name)
		return []string{target}, err
	case "PTR":
		return r.LookupAddr(ctx, name)
	case "TXT":
		return r.LookupTXT(ctx, name)
	case "SRV":
		_, records, err := r.LookupSRV(ctx, "", "", name)
		return printed(records, func(s *net.SRV) string {
			return fmt.Sprintf("%d %d %d %s", s.Priority, s.Weight, s.Port, s.Target)
		}, err)
	}
	return nil, errUsage
}

func printed[T any](items []T, show func(T) string, err error) ([]string, error) {
	lines := make([]string, 0, len(items))
	for _, item := range items {
		lines = append(lines, show(item))
	}
	return lines, err
}

// addresses prints what lookup.c prints, of Go's own resolver.
func addresses(args []string) error {
	networks := map[string]string{"4": "ip4", "6": "ip6", "0": "ip"}
	for _, arg := range args {
		family, name, ok := strings.Cut(arg, ":")
		if !ok || networks[family] == "" {
			return errUsage
		}
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, networks[family], name)
		cancel()
		line, missing := []string{}, (*net.DNSError)(nil)
		for _, a := range addrs {
			line = append(line, a.Unmap().String())
		}
		switch {
		case errors.As(err, &missing) && missing.IsNotFound:
			line = []string{"none"}
		case err != nil:
			line = []string{"error:", err.Error()}
		}
		fmt.Println(strings.Join(line, " "))
	}
	return nil
}
