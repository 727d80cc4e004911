package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lookupPod runs one of the programs that find names.
func lookupPod(name, image, args string) string {
	return strings.Replace(toolPod(name, args), "kube-lite-test/tool:latest", image, 1)
}

// addressesOf are hand-made endpoints that nobody has to reach.
func addressesOf(count int) (addrs []string) {
	for n := range count {
		addrs = append(addrs, fmt.Sprintf("198.18.0.%d", n+1))
	}
	return addrs
}

// headlessOf is a Service whose endpoints are made by hand.
func headlessOf(name string, count int) string {
	return service(name, "clusterIP: None, ports: [{name: http, port: 80}]") + fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: %[1]s-1
  labels: {kubernetes.io/service-name: %[1]s}
addressType: IPv4
ports:
- {name: http, port: 80, protocol: TCP}
endpoints:
- addresses: [%[2]s]
---
`, name, strings.Join(addressesOf(count), "]\n- addresses: ["))
}

// resolver is who asks in a pod, and how.
type resolver struct {
	name    string
	command []string
	// cut: what does not fit a UDP packet of 512 bytes may be missing. musl asks over TCP since 1.2.4.
	cut bool
}

// What a name means, musl, glibc and Go agree on, though each asks in a way of its own: musl for both families at once and, before
// 1.2.4, never over TCP, glibc without EDNS, Go with it.
func TestNamesAskedByTheResolversOfMuslGlibcAndGo(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "resolvers")
	names := ns.nameThings(t)
	for _, r := range []resolver{
		{"go", []string{"/tool", "lookup"}, false},
		{"glibc", []string{"/bin/lookup"}, false},
		{"musl", []string{"/bin/lookup"}, true},
	} {
		t.Run(r.name, func(t *testing.T) { r.test(t, ns, names) })
	}
}

// question is a name with the family that is asked for, and the addresses that it has; none: no address.
type question struct {
	ask  string
	want []string
}

// nameThings makes Services and Pods with names of every sort, and returns what is to be asked of them.
func (n namespace) nameThings(t *testing.T) []question {
	t.Helper()
	const few, many = 60, 100 // their records take 1 KB, which EDNS carries, and 1.6 KB, which only TCP does
	n.apply(t, toolPod("go", "sleep")+lookupPod("glibc", "kube-lite-test/lookup:glibc", "sleep")+lookupPod("musl", "kube-lite-test/lookup:musl", "sleep")+
		headlessPod("one")+headlessPod("two")+
		service("web", "selector: {test: services}, ports: [{port: 80}]")+
		service("peers", "clusterIP: None, selector: {test: peers}, ports: [{name: http, port: 80}]")+
		service("alias", "type: ExternalName, externalName: web."+n.name+".svc.cluster.local")+
		service("nowhere", "type: ExternalName, externalName: nobody."+n.name+".svc.cluster.local")+
		headlessOf("few", few)+headlessOf("many", many))
	n.waitForPods(t, 5, "(go|glibc|musl|one|two)")
	web, one, two := n.value(t, "service/web", "{.spec.clusterIP}"), n.value(t, "pod/one", "{.status.podIP}"), n.value(t, "pod/two", "{.status.podIP}")
	full := "." + n.name + ".svc.cluster.local"
	return []question{
		{"0:web", []string{web}},
		{"4:web", []string{web}},
		{"0:web." + n.name, []string{web}},
		{"0:web." + n.name + ".svc", []string{web}},
		{"0:web" + full, []string{web}},
		{"0:web" + full + ".", []string{web}},
		{"0:WEB" + strings.ToUpper(full), []string{web}},
		{"0:kubernetes.default", []string{cluster.run(t, "", "get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}").stdout}},
		{"0:peers", []string{one, two}},
		{"0:one.peers", []string{one}},
		{"0:two.peers" + full, []string{two}},
		{"0:" + strings.ReplaceAll(one, ".", "-") + "." + n.name + ".pod.cluster.local", []string{one}},
		{"0:alias", []string{web}},
		{"0:alias" + full + ".", []string{web}},
		{"6:web", nil}, // no data
		{"6:peers" + full + ".", nil},
		{"0:nowhere" + full + ".", nil},
		{"0:nobody" + full + ".", nil}, // no such name
		{"0:web.missing.svc.cluster.local.", nil},
		{"0:three.peers" + full + ".", nil},
		{"0:few", addressesOf(few)},
		{"4:many" + full + ".", addressesOf(many)},
	}
}

// test asks all in one call, so that a loaded machine has few to make.
func (r resolver) test(t *testing.T, ns namespace, names []question) {
	t.Helper()
	args := append([]string{"exec", r.name, "--"}, r.command...)
	for _, n := range names {
		args = append(args, n.ask)
	}
	eventually(t, func() error {
		got := ns.run(t, args...)
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		if got.code != 0 || len(lines) != len(names) {
			return fmt.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
		}
		for i, n := range names {
			if err := r.compare(n.want, strings.Fields(lines[i])); err != nil {
				return fmt.Errorf("%s: %w", n.ask, err)
			}
		}
		return nil
	})
}

// compare returns an error unless the resolver found these addresses, in whichever order.
func (r resolver) compare(want, got []string) error {
	if len(want) == 0 {
		want = []string{"none"}
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if r.cut && len(want) > 20 { // 512 bytes have room for at least that many
		others := slices.DeleteFunc(slices.Clone(got), func(a string) bool { return slices.Contains(want, a) })
		if len(got) >= 20 && len(others) == 0 {
			return nil
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("found %v, want %v", got, want)
	}
	return nil
}

// headlessPod has a name below the Service peers.
func headlessPod(name string) string {
	pod := strings.Replace(toolPod(name, "sleep"), "spec:\n", "spec:\n  hostname: "+name+"\n  subdomain: peers\n", 1)
	return strings.Replace(pod, "test: services", "test: peers", 1)
}
