package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// dnsTurn is how long each server is asked in a round.
	dnsTurn = 2 * time.Second
	dnsName = "echo." + namespace + ".svc.cluster.local."
)

// measureDNS asks kube-lite's server and CoreDNS for the same Service in turns.
func measureDNS(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	if b.coreDNS == "" {
		return nil, "", skipped("no CoreDNS to compare with (-coredns)")
	}
	err = b.with(ctx, func(i *instance) error {
		service, err := i.client.CoreV1().Services(namespace).Create(ctx, selectorless("echo"), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		address, err := netip.ParseAddr(service.Spec.ClusterIP)
		if err != nil {
			return err
		}
		peer, err := startCoreDNS(ctx, b.coreDNS, i)
		if err != nil {
			return err
		}
		defer peer.stop()
		samples, note, err = race(ctx, b, &dnsServer{address: netip.AddrPortFrom(i.gateway(), 53), pid: i.status.PID},
			&dnsServer{address: peer.address, pid: peer.cmd.Process.Pid}, address)
		return err
	})
	return samples, note, err
}

// dnsServer is one of the two that are compared.
type dnsServer struct {
	address netip.AddrPort
	pid     int
	// rates are queries per second, costs are microseconds of processor time per query; one of each per round.
	rates, costs []float64
}

// race asks the two servers in turns for a name that has the given address; who is asked first changes.
func race(ctx context.Context, b *bench, ours, theirs *dnsServer, want netip.Addr) (samples []float64, note string, err error) {
	servers := [2]*dnsServer{ours, theirs}
	for _, s := range servers {
		if err := awaitAnswer(ctx, s.address, want); err != nil {
			return nil, "", err
		}
		if err := s.turn(ctx); err != nil { // warms up
			return nil, "", err
		}
		s.rates, s.costs = nil, nil
	}
	for round := 1; round <= b.rounds; round++ {
		for turn := range servers {
			if err := servers[(round+turn)%2].turn(ctx); err != nil {
				return nil, "", err
			}
		}
		n := round - 1
		b.say(round, b.rounds, "kube-lite %.0f/s (%.0f µs each), CoreDNS %.0f/s (%.0f µs each): × %.2f",
			ours.rates[n], ours.costs[n], theirs.rates[n], theirs.costs[n], ours.rates[n]/theirs.rates[n])
	}
	note = fmt.Sprintf("medians: kube-lite %.0f/s and %.0f µs of processor time each, CoreDNS %.0f/s and %.0f µs; %d clients, each of which waits for its answer",
		median(ours.rates), median(ours.costs), median(theirs.rates), median(theirs.costs), dnsClients)
	return ratios(ours.rates, theirs.rates), note, nil
}

// turn asks the server for a while.
func (s *dnsServer) turn(ctx context.Context) error {
	before, err := cpuTimes(s.pid)
	if err != nil {
		return err
	}
	answered, took, err := load(ctx, s.address, dnsTurn)
	if err != nil {
		return err
	}
	after, err := cpuTimes(s.pid)
	s.rates = append(s.rates, float64(answered)/took.Seconds())
	s.costs = append(s.costs, float64((after.own-before.own).Microseconds())/float64(answered))
	return err
}
