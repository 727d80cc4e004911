package router

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// reasonPortUnavailable is that of Gateways and listeners whose ports other programs of this machine have.
const reasonPortUnavailable = string(gatewayv1.ListenerReasonPortUnavailable)

// errNoPair is why 80 and 443 are not served on localhost.
var errNoPair = errors.New("no pair of ports in its place is free either")

// served is where a Gateway is served, and where it is not.
type served struct {
	own netip.Addr // zero: it has no address of its own
	// ownTaken and localTaken say why ports are not served at that address, and on localhost under their own numbers.
	ownTaken, localTaken map[uint16]error
}

// atOwn is why a port is not served at the Gateway's own address; nil if it is.
func (s *served) atOwn(port uint16) error {
	if err := s.ownTaken[port]; err != nil || s.own.IsValid() {
		return err
	}
	return fmt.Errorf("no address is left in %s", ownPrefix)
}

// onLocalhost is why a port is not served on localhost; nil if it is, under its number or in the place of 80 and 443.
func (s *served) onLocalhost(port uint16, pair Ports) error {
	if (port == httpPort || port == httpsPort) && pair == (Ports{}) {
		return errNoPair
	}
	return s.localTaken[port]
}

// programmed says whether a listener is served, and if not everywhere why.
func (s *served) programmed(port uint16, pair Ports) (is bool, text string) {
	own, local := s.atOwn(port), s.onLocalhost(port, pair)
	switch {
	case own != nil && local != nil:
		return false, fmt.Sprintf("port %d cannot be had on this machine: %v", port, own)
	case own != nil:
		return true, fmt.Sprintf("port %d is served on localhost alone: %v", port, own)
	case local != nil:
		return true, fmt.Sprintf("port %d is served at %s alone, not on localhost: %v", port, s.own, local)
	default:
		return true, ""
	}
}

// programmed says whether a Gateway is served, and where, in a sentence or several.
func (g *gatewayPart) programmed(pair Ports) (is bool, text string) {
	var urls, problems []string
	for _, l := range g.made.listeners {
		listens, problem := g.served.programmed(l.port, pair)
		is = is || listens
		if problem != "" && !slices.Contains(problems, problem) {
			problems = append(problems, problem)
		}
		if listens {
			if url := g.url(l, pair); url != "" && !slices.Contains(urls, url) {
				urls = append(urls, url)
			}
		}
	}
	var sentences []string
	switch {
	case len(urls) > 0 && g.served.own.IsValid():
		sentences = append(sentences, fmt.Sprintf("Reachable at %s, and with its own ports at %s", strings.Join(urls, ", "), g.served.own))
	case len(urls) > 0:
		sentences = append(sentences, "Reachable at "+strings.Join(urls, ", "))
	case is:
		sentences = append(sentences, fmt.Sprintf("Reachable at %s", g.served.own))
	}
	return is, strings.Join(append(sentences, problems...), "; ")
}

// url is where a listener is reached on localhost, "" if it is not.
func (g *gatewayPart) url(l *listener, pair Ports) string {
	if g.served.onLocalhost(l.port, pair) != nil {
		return ""
	}
	scheme, at := "http", Ports{HTTP: l.port, HTTPS: l.port}
	if l.secured {
		scheme = "https"
	}
	if l.port == httpPort || l.port == httpsPort {
		at = pair
	}
	host := string(l.host)
	if host == "" || host[0] == '*' {
		host = "localhost"
	}
	return at.URL(scheme, host)
}

// address is what the status says: the Gateway's own address, or localhost's where it has none and is served there.
func (g *gatewayPart) address(pair Ports) netip.Addr {
	if served, _ := g.programmed(pair); !served || g.served.own.IsValid() {
		return g.served.own
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
