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
		samples, note, err = race(ctx, b, netip.AddrPortFrom(i.gateway(), 53), peer.address, address)
		return err
	})
	return samples, note, err
}

// race asks the two servers in turns for a name that has the given address; who is asked first changes.
func race(ctx context.Context, b *bench, ours, theirs netip.AddrPort, want netip.Addr) (samples []float64, note string, err error) {
	servers := [2]netip.AddrPort{ours, theirs}
	var rates [2][]float64
	for _, server := range servers {
		if err := awaitAnswer(ctx, server, want); err != nil {
			return nil, "", err
		}
	}
	for round := range b.rounds + 1 {
		for turn := range servers {
			who := (round + turn) % 2
			rate, err := queriesPerSecond(ctx, servers[who], dnsTurn)
			if err != nil {
				return nil, "", err
			}
			if round > 0 { // the first warms up
				rates[who] = append(rates[who], rate)
			}
		}
		if round > 0 {
			b.say(round, b.rounds, "kube-lite %.0f/s, CoreDNS %.0f/s: × %.2f", rates[0][round-1], rates[1][round-1], rates[0][round-1]/rates[1][round-1])
		}
	}
	note = fmt.Sprintf("medians: kube-lite %.0f/s, CoreDNS %.0f/s; %d clients, each of which waits for its answer", median(rates[0]), median(rates[1]), dnsClients)
	return ratios(rates[0], rates[1]), note, nil
}
