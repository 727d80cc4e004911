package why

import (
	"fmt"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func protocolOf(p v1.ServicePort) v1.Protocol {
	if p.Protocol == "" {
		return v1.ProtocolTCP
	}
	return p.Protocol
}

// targetNumber is the port of a pod that a Service's port leads to; 0 if the pod has none of that name.
func targetNumber(p v1.ServicePort, pod *v1.Pod) int32 {
	if p.TargetPort.Type == intstr.Int {
		if p.TargetPort.IntVal == 0 {
			return p.Port
		}
		return p.TargetPort.IntVal
	}
	for _, c := range pod.Spec.Containers {
		for _, declared := range c.Ports {
			if declared.Name == p.TargetPort.StrVal && orElse(string(declared.Protocol), "TCP") == string(protocolOf(p)) {
				return declared.ContainerPort
			}
		}
	}
	return 0
}

// checkedPods is how many pods of a Service are asked for their ports: they are mostly alike.
const checkedPods = 3

// targetPort compares a port of a Service with what its pods declare and with what they listen on.
func (l *look) targetPort(s *v1.Service, n int, pods []*v1.Pod) (Link, bool) {
	at, p := serviceObject(s), s.Spec.Ports[n]
	change := func(value any) string {
		if text, ok := value.(string); ok {
			value = quote(text)
		}
		return l.command(s.Namespace, `patch service %s --type=json -p '[{"op":"replace","path":"/spec/ports/%d/targetPort","value":%v}]'`, s.Name, n, value)
	}
	for _, pod := range pods[:min(checkedPods, len(pods))] {
		port := targetNumber(p, pod)
		if port == 0 {
			names, all := declaredPorts(pod)
			out := broken(at, "its port %d leads to a port of the pods that is named %s, and no container of pod %s has one%s",
				p.Port, quote(p.TargetPort.StrVal), pod.Name, orNearest(p.TargetPort.StrVal, names)).
				seen(fmt.Sprintf("ports of pod %s: %s", pod.Name, list(all)))
			if near := nearest(p.TargetPort.StrVal, names); near != "" {
				return out.mended(change(near)), true
			}
			if len(names) == 1 {
				return out.mended(change(names[0])), true
			}
			return out.mended(change("NAME")), true
		}
		open, known := l.listening(pod)
		if !known {
			continue
		}
		listens, reached := openAt(open, protocolOf(p), port)
		switch {
		case listens && !reached:
			return broken(at, "its port %d leads to port %d of pod %s, where the program listens on localhost only, so that nobody else reaches it", p.Port, port, pod.Name).
				seen(portsText(open)).mended(l.edited(pod, "have the program listen on 0.0.0.0")), true
		case !listens && protocolOf(p) != v1.ProtocolSCTP: // of which the node says nothing
			out := broken(at, "its port %d leads to port %d/%s of pod %s, where nothing listens: %s", p.Port, port, protocolOf(p), pod.Name, portsText(open)).
				seen(fmt.Sprintf("targetPort: %s", orElse(p.TargetPort.String(), strconv.Itoa(int(p.Port)))))
			if only, ok := onlyPort(open, protocolOf(p)); ok {
				return out.mended(change(only)), true
			}
			return out.mended(change("PORT")), true
		}
	}
	return Link{}, false
}

// declaredPorts lists the ports that a Pod's containers declare.
func declaredPorts(pod *v1.Pod) (names, all []string) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			text := fmt.Sprintf("%d/%s", p.ContainerPort, orElse(string(p.Protocol), "TCP"))
			if p.Name != "" {
				names = append(names, p.Name)
				text = p.Name + " " + text
			}
			all = append(all, text)
		}
	}
	slices.Sort(names)
	return names, all
}
