package netproxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What linux/netfilter/nf_tables.h and nfnetlink.h call these.
const (
	nfnlGroupNftables = 7
	nftSubsystem      = 10 << 8
	nftMsgNewGen      = nftSubsystem | 15
	nftMsgGetGen      = nftSubsystem | 16
	nftaGenID         = 1
	nftMsgGetTable    = nftSubsystem | 1
	nftaTableName     = 1
)

// watchHost calls changed whenever a device or a route of this machine changes, until ctx ends.
func watchHost(ctx context.Context, families []family, changed func()) error {
	groups := []uint{unix.RTNLGRP_LINK}
	for _, f := range families {
		groups = append(groups, f.routeGroup())
	}
	return watch(ctx, unix.NETLINK_ROUTE, groups, nil, changed)
}

// watchRules calls changed whenever a transaction changed nftables rules, ours too, until ctx ends.
func watchRules(ctx context.Context, changed func()) error {
	// Each transaction ends with a message of its own; the filter lets only these through, not one for each rule.
	// The type is the second half of the message's second word, in the machine's own order.
	newGen := uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, nftMsgNewGen)))
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: newGen},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return watch(ctx, unix.NETLINK_NETFILTER, []uint{nfnlGroupNftables}, filter, changed)
}

// watch calls changed for what arrives in netlink groups. What it says does not matter: whoever hears of it looks.
func watch(ctx context.Context, protocol int, groups []uint, filter []unix.SockFilter, changed func()) error {
	socket, err := nl.Subscribe(protocol, groups...)
	if err != nil {
		return fmt.Errorf("subscribing to netlink %d: %w", protocol, err)
	}
	defer socket.Close()
	if filter != nil {
		prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.SetsockoptSockFprog(socket.GetFd(), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog); err != nil {
			return fmt.Errorf("filtering netlink %d: %w", protocol, err)
		}
	}
	defer context.AfterFunc(ctx, socket.Close)()
	for {
		_, _, err := socket.Receive()
		if ctx.Err() != nil {
			return nil
		}
		// ENOBUFS: more changed than the socket could hold; that it changed is all we want to know.
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("receiving from netlink %d: %w", protocol, err)
		}
		changed()
	}
}

// rulesGeneration is the number of nftables transactions so far: the same number, the same rules.
func rulesGeneration() (uint32, error) {
	req := nl.NewNetlinkRequest(nftMsgGetGen, 0)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	msgs, err := req.Execute(unix.NETLINK_NETFILTER, nftMsgNewGen)
	if err != nil {
		return 0, fmt.Errorf("asking for the generation of the nftables rules: %w", err)
	}
	for _, m := range msgs {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofNfgenmsg:])
		if err != nil {
			return 0, fmt.Errorf("reading the generation of the nftables rules: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == nftaGenID && len(a.Value) >= 4 {
				return binary.BigEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, errors.New("the kernel did not tell the generation of the nftables rules")
}

// tableExists asks for a table. A kernel without nftables has none.
func tableExists(f family, name string) (bool, error) {
	req := nl.NewNetlinkRequest(nftMsgGetTable, unix.NLM_F_ACK)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: uint8(f.socket()), Version: nl.NFNETLINK_V0})
	req.AddData(nl.NewRtAttr(nftaTableName, nl.ZeroTerminated(name)))
	_, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the nftables table %s: %w", name, err)
	}
	return true, nil
}
