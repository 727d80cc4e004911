package netproxy

import (
	"slices"
	"strconv"
	"strings"
)

// allowMark is on a packet while rules say that it is allowed, and never outside of them: a chain cannot tell its caller
// more. The bit is next to those that Kubernetes has claimed.
const (
	allowMark   = "0x2000/0x2000"
	noAllowMark = "0x0/0x2000"
)

// newConnection matches what conntrack knows nothing of. What was allowed when it began goes on, and replies pass.
const newConnection = "-m conntrack ! --ctstate RELATED,ESTABLISHED"

// neighbourDiscovery are the messages by which the machines of a link find each other, which have conntrack know nothing of
// them. IPv4 has a protocol of its own for that, which no policy is about either.
func neighbourDiscovery() []string { return []string{"133", "134", "135", "136"} }

// policySide is a direction: the sides of a packet that Pods and peers are on.
type policySide struct{ chain, letter, pod, peer string }

var (
	ingressSide = policySide{chain: "INGRESS", letter: "I", pod: "-d", peer: "-s"}
	egressSide  = policySide{chain: "EGRESS", letter: "E", pod: "-s", peer: "-d"}
)

// addPolicies adds what enforces policies to the chains of the filter table, which stay as they are where there is
// nothing to enforce.
//
// The first packet of a connection passes EGRESS by the Pod that sends it and INGRESS by the one that gets it, as the nat
// table has left it. Both find the Pod in a dispatch, and behind it the chain of its isolation, which all Pods share that
// the same policies select: ports lead to chains of peers, which mark the packet, and what is not marked at the end is
// dropped. Peers of the same selectors have one chain, a dispatch too. So a Pod more is a rule more for each selector
// that selects it, and a packet sees a few rules, however many Pods there are.
//
// This machine's own connections to Pods pass OUTPUT and are never looked at.
func (s settings) addPolicies(c chains, set *policySet) {
	if set.isEmpty() {
		return
	}
	r := policyRules{settings: s, chains: c, set: set}
	before := func(chain, rule string) { // what lets packets pass, but behind what refuses them
		chain = s.prefix + chain
		at := slices.IndexFunc(c[chain], func(r string) bool { return strings.HasSuffix(r, "-j ACCEPT") })
		if at < 0 {
			at = len(c[chain])
		}
		c[chain] = slices.Insert(slices.Clone(c[chain]), at, rule)
	}
	fromPods := "-i " + s.bridge + " " + newConnection + " -j " + s.prefix + egressSide.chain
	toPods := "-o " + s.bridge + " " + newConnection + " -j " + s.prefix + ingressSide.chain
	egress, ingress := r.addSide(egressSide, set.egress), r.addSide(ingressSide, set.ingress)
	if ingress {
		before("FORWARD", toPods)
	}
	if egress {
		before("FORWARD", fromPods)
		before("INPUT", fromPods)
	}
}

// policyRules renders one policySet.
type policyRules struct {
	settings
	chains chains
	set    *policySet
}

// addSide makes the chain of one direction, if there is something to do.
func (r policyRules) addSide(side policySide, isolations []isolation) bool {
	if len(isolations) == 0 && !r.set.starting {
		return false
	}
	chain := r.prefix + side.chain
	if r.family == ipv6 {
		for _, kind := range neighbourDiscovery() {
			r.chains.add(chain, "-p ipv6-icmp -m icmp6 --icmpv6-type", kind, "-j RETURN")
		}
	}
	r.chains.add(chain, "-j MARK --set-xmark", noAllowMark)
	var leaves []leaf
	for _, i := range isolations {
		name := r.addIsolation(side, i)
		for _, pod := range i.pods {
			if r.family.has(pod) { // it may always reach itself, which it does through its own Service
				at := one(pod)
				leaves = append(leaves, leaf{addressKey(pod), side.pod + " " + at + " ! " + side.peer + " " + at + " -j " + name})
			}
		}
	}
	r.dispatch("P"+side.letter+"-", side.pod).build(chain, leaves)
	if r.set.starting {
		r.chains.add(chain, side.pod, r.podCIDR.Masked().String(), "-j", r.addStarting(side))
	}
	r.chains.add(chain, "-j MARK --set-xmark", noAllowMark)
	return true
}

// addIsolation makes the chain that drops what an isolation does not allow, and returns its name.
func (r policyRules) addIsolation(side policySide, i isolation) string {
	chain := r.prefix + "PI" + side.letter + "-" + hash(i.id)[:8]
	r.chains.add(chain)
	marks := false
	for _, a := range i.allowed {
		target := "-j RETURN"
		if !a.everyone {
			target = "-j " + r.addPeers(side, a)
			marks = true
		}
		for _, match := range r.portMatches(a) {
			r.chains.add(chain, strings.TrimSpace(match+" "+target))
		}
	}
	r.addEnd(chain, marks, strings.ReplaceAll(strings.TrimSpace(i.id), " ", ","))
	return chain
}

// addEnd lets pass what is marked, if anything marks, and drops the rest. A comment says why, in the 255 characters that
// it may have.
func (r policyRules) addEnd(chain string, marks bool, why string) {
	if marks {
		r.chains.add(chain, "-m mark --mark", allowMark, "-j RETURN")
	}
	r.chains.add(chain, `-m comment --comment "`+why[:min(len(why), 250)]+`" -j DROP`)
}

// portMatches are empty for a port that cannot be matched, which stays forbidden.
func (r policyRules) portMatches(a allowance) (matches []string) {
	if a.anyPort {
		return []string{""}
	}
	for _, p := range a.ports {
		if !r.knows(p.protocol) {
			continue
		}
		match := portMatch(p.protocol, p.first)
		if p.last != p.first {
			match += ":" + strconv.Itoa(int(p.last))
		}
		if p.first == 0 && p.last == 65535 {
			match = "-p " + strings.ToLower(string(p.protocol))
		}
		matches = append(matches, match)
	}
	return matches
}

// addPeers makes the chains that mark what one of an allowance's peers sends or gets, and returns the name of the first.
func (r policyRules) addPeers(side policySide, a allowance) string {
	if len(a.blocks) == 0 && len(a.groups) == 1 {
		return r.addGroup(side, a.groups[0])
	}
	chain := r.prefix + "PR-" + hash(a.id)[:8]
	r.chains.add(chain)
	for _, g := range a.groups {
		r.chains.add(chain, "-j", r.addGroup(side, g))
	}
	for _, b := range a.blocks {
		if !r.family.has(b.cidr.Addr()) {
			continue
		}
		target := "-j MARK --set-xmark " + allowMark
		if len(b.except) > 0 {
			target = "-j " + r.addBlock(side, b, target)
		}
		r.chains.add(chain, side.peer, b.cidr.String(), target)
	}
	return chain
}

// addBlock makes the chain of a range with holes and returns its name.
func (r policyRules) addBlock(side policySide, b addressBlock, mark string) string {
	id := b.cidr.String()
	for _, hole := range b.except {
		id += "-" + hole.String()
	}
	chain := r.prefix + "PB" + side.letter + "-" + hash(id)[:8]
	if _, ok := r.chains[chain]; ok {
		return chain
	}
	for _, hole := range b.except {
		if r.family.has(hole.Addr()) {
			r.chains.add(chain, side.peer, hole.String(), "-j RETURN")
		}
	}
	r.chains.add(chain, mark)
	return chain
}

// addGroup makes the chain that marks what a group's addresses send or get, and returns its name.
func (r policyRules) addGroup(side policySide, id string) string {
	name := "G" + side.letter + "-"
	chain := r.prefix + name + hash(id)[:8]
	if _, ok := r.chains[chain]; ok {
		return chain
	}
	var leaves []leaf
	for _, a := range r.set.groups[id] {
		if r.family.has(a) {
			leaves = append(leaves, leaf{addressKey(a), side.peer + " " + one(a) + " -j MARK --set-xmark " + allowMark})
		}
	}
	d := r.dispatch(name, side.peer)
	d.named = func(branch string) string { return r.prefix + name + hash(id + branch)[:8] }
	d.build(chain, leaves)
	return chain
}

// addStarting makes the chain that drops what an address sends or gets that may be that of a Pod which is isolated and
// just starts: one of the Pods' range that is not known yet. Isolation has to be there before a Pod's first container.
func (r policyRules) addStarting(side policySide) string {
	chain := r.prefix + "PX" + side.letter
	if r.otherCIDR.IsValid() {
		r.chains.add(chain, side.pod, r.otherCIDR.Masked().String(), "-j RETURN")
	}
	of := side
	of.peer, of.letter = side.pod, side.letter+"X"
	r.chains.add(chain, "-j", r.addGroup(of, allPods))
	r.addEnd(chain, true, "starting")
	return chain
}

// dispatch tells addresses on one side of a packet apart.
func (r policyRules) dispatch(name, side string) dispatch {
	d := r.addressDispatch(r.chains, name)
	d.match = func(digits string) string { return side + " " + r.prefixOf(digits) }
	return d
}
