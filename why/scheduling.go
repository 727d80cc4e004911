package why

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// defaultScheduler places the pods that name none.
const defaultScheduler = v1.DefaultSchedulerName

// unscheduled explains a Pod that is on no node.
func (l *look) unscheduled(pod *v1.Pod) links {
	at := podObject(pod)
	if len(pod.Spec.SchedulingGates) > 0 {
		var gates []string
		for _, g := range pod.Spec.SchedulingGates {
			gates = append(gates, g.Name)
		}
		return links{broken(at, "is not placed on a node until its scheduling gate %s is taken off by whoever put it there", list(gates)).
			seen("spec.schedulingGates: " + list(gates)).
			mended(l.command(pod.Namespace, `patch pod/%s --type=merge -p '{"spec":{"schedulingGates":[]}}'`, pod.Name))}
	}
	c := condition(pod, v1.PodScheduled)
	if c == nil || c.Status != v1.ConditionFalse || c.Message == "" {
		if pod.Spec.SchedulerName != "" && pod.Spec.SchedulerName != defaultScheduler {
			return links{broken(at, "is to be placed by the scheduler %s, which has not done so; pods that name no scheduler are placed by %s", quote(pod.Spec.SchedulerName), defaultScheduler).
				seen("spec.schedulerName: " + pod.Spec.SchedulerName).
				mended(l.edited(pod, "take spec.schedulerName out"))}
		}
		return links{waiting(at, "is about to be placed on a node")}
	}
	evidence := "condition PodScheduled: " + c.Message
	first := waiting(at, "is not placed on a node")
	if strings.Contains(strings.ToLower(c.Message), "persistentvolume") || strings.Contains(c.Message, "available persistent volumes") {
		if found := l.claims(pod); !found.well() {
			return append(links{first}, found...)
		}
	}
	reason := l.nodesRefuse(pod)
	if reason.Sentence == "" || l.otherReason(c.Message) {
		reason = l.byMessage(pod, c.Message)
	}
	return links{broken(at, "no node takes it: %s", reason.Sentence).seen(reason.Evidence...).seen(evidence).mended(reason.Mend).caused(Unschedulable)}
}

// nodesRefuse finds what keeps a Pod from every node, or from most of them; its Sentence is empty if nothing does that we
// can read in the Pod and the nodes.
func (l *look) nodesRefuse(pod *v1.Pod) Link {
	nodes := l.nodes()
	if len(nodes) == 0 {
		return broken(podObject(pod), "the cluster has no node")
	}
	// What is asked of a node's nature comes before what is asked of its room: no mending of the latter would help.
	for _, refuse := range []func(*v1.Pod, *v1.Node) Link{l.wrongLabels, l.wrongAffinity, l.cordoned, l.tainted, l.tooSmall} {
		var all []Link
		for n := range nodes {
			if reason := refuse(pod, &nodes[n]); reason.Sentence != "" {
				all = append(all, reason)
			}
		}
		if len(all) == len(nodes) {
			return all[0].seen(evidenceOf(all[1:])...)
		}
	}
	return l.mixed(pod, nodes)
}

// mixed says of each node why it is not the one, when they have different reasons.
func (l *look) mixed(pod *v1.Pod, nodes []v1.Node) (out Link) {
	var all []Link
	for n := range nodes {
		for _, refuse := range []func(*v1.Pod, *v1.Node) Link{l.wrongLabels, l.wrongAffinity, l.cordoned, l.tainted, l.tooSmall} {
			if reason := refuse(pod, &nodes[n]); reason.Sentence != "" {
				all = append(all, reason)
				break
			}
		}
	}
	if len(all) < len(nodes) {
		return out // a node that would take it, for all that we know
	}
	return all[0].seen(evidenceOf(all[1:])...)
}

// evidenceOf makes evidence of the reasons of further nodes.
func evidenceOf(reasons []Link) (out []string) {
	for _, r := range reasons[:min(mostNames, len(reasons))] {
		out = append(out, r.Sentence)
	}
	return out
}

// otherReasons are those in a scheduler's message that the nodes' labels, taints and room say nothing about.
var otherReasons = []struct{ part, words string }{
	{"didn't have free ports", "another pod has the host port that it asks for"},
	{"didn't match pod anti-affinity", "its pod anti-affinity keeps it from every node that has one of the pods it names"},
	{"didn't satisfy existing pods anti-affinity", "the anti-affinity of pods that run already keeps it from their nodes"},
	{"didn't match pod affinity", "its pod affinity wants a node with certain other pods, and no node has them"},
	{"didn't match pod topology spread constraints", "its topology spread constraints leave no node"},
	{"volume node affinity conflict", "its volume belongs to another node"},
	{"Too many pods", "the node has as many pods as it may have"},
	{"cannot allocate all claims", "the devices that it claims are not there"},
}

func (l *look) otherReason(message string) bool {
	for _, r := range otherReasons {
		if strings.Contains(message, r.part) {
			return true
		}
	}
	return false
}

// byMessage puts a scheduler's message into words.
func (l *look) byMessage(pod *v1.Pod, message string) Link {
	for _, r := range otherReasons {
		if !strings.Contains(message, r.part) {
			continue
		}
		out := broken(podObject(pod), "%s", r.words)
		switch {
		case strings.Contains(r.part, "free ports"):
			return l.portTaken(pod, out)
		case strings.Contains(r.part, "affinity") && !strings.Contains(r.part, "volume"):
			return out.seen(affinityText(pod)...).mended(l.edited(pod, "change spec.affinity, or have fewer replicas"))
		}
		return out
	}
	if _, rest, ok := strings.Cut(message, "available: "); ok {
		message = rest
	}
	message, _, _ = strings.Cut(message, ". ")
	return broken(podObject(pod), "%s", strings.TrimSuffix(message, "."))
}

// affinityText is what a Pod asks of its neighbours.
func affinityText(pod *v1.Pod) (out []string) {
	if pod.Spec.Affinity == nil {
		return nil
	}
	if a := pod.Spec.Affinity.PodAffinity; a != nil {
		for _, term := range a.RequiredDuringSchedulingIgnoredDuringExecution {
			out = append(out, fmt.Sprintf("podAffinity: pods with %s, by %s", selectorText(term.LabelSelector), term.TopologyKey))
		}
	}
	if a := pod.Spec.Affinity.PodAntiAffinity; a != nil {
		for _, term := range a.RequiredDuringSchedulingIgnoredDuringExecution {
			out = append(out, fmt.Sprintf("podAntiAffinity: pods with %s, by %s", selectorText(term.LabelSelector), term.TopologyKey))
		}
	}
	return out
}

// portTaken names the pod that has the host port.
func (l *look) portTaken(pod *v1.Pod, out Link) Link {
	wanted := hostPorts(pod)
	all := l.pods("")
	for n := range all {
		other := &all[n]
		if other.UID == pod.UID || other.Spec.NodeName == "" || other.Status.Phase == v1.PodSucceeded || other.Status.Phase == v1.PodFailed {
			continue
		}
		for port := range hostPorts(other) {
			if wanted[port] {
				out.Sentence = fmt.Sprintf("pod %s of namespace %s has port %s of the node already", other.Name, other.Namespace, port)
				return out.mended(l.edited(pod, "choose another hostPort, or none and a Service of type NodePort"))
			}
		}
	}
	return out
}

func hostPorts(pod *v1.Pod) map[string]bool {
	out := map[string]bool{}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				out[fmt.Sprintf("%d/%s", p.HostPort, orElse(string(p.Protocol), "TCP"))] = true
			}
		}
	}
	return out
}
