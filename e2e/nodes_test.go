package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// spread is a Deployment with one Pod on each of three nodes, and a DaemonSet. A node that goes silent loses them soon.
const spread = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [http-serve, ":8080", web]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [sleep]}]
`

func TestNodes(t *testing.T) {
	t.Parallel()
	i := startInstance(t, "--nodes=3", "--node-name=one", "--node-label=2:topology.kubernetes.io/zone=b", "--node-label=kind=all")
	ns := namespace{"default", i}
	if got := ns.value(t, "nodes", `{range .items[*]}{.metadata.name}:{.metadata.labels.topology\.kubernetes\.io/zone}:{.metadata.labels.kind} {end}`); got != "one::all one-2:b:all one-3::all " {
		t.Errorf("nodes and zones: %s", got)
	}
	if got := i.run(t, "", "start", "--nodes=4"); got.code != 1 || !strings.Contains(got.stderr, "--nodes 4: it has 3 nodes") {
		t.Errorf("a start that wants another number while it runs: %+v", got)
	}
	ns.apply(t, spread)
	ns.must(t, "rollout", "status", "deployment/web")
	ns.must(t, "rollout", "status", "daemonset/agent")
	for _, app := range []string{"web", "agent"} {
		if got := ns.onNodes(t, app); got != "one one-2 one-3" {
			t.Errorf("%s is on %s", app, got)
		}
	}
	t.Run("each is reached", ns.testNodesAreReached)
	t.Run("the daemon is killed", ns.testNodesOutliveTheDaemon)
	t.Run("one more", ns.testNodeComesAndGoes)
	t.Run("one is silent", ns.testSilentNode)
	t.Run("stop and start", ns.testNodesStopAndStart)
}

// node runs a command of kube-lite node, which has to succeed.
func (i *instance) node(t *testing.T, args ...string) string {
	t.Helper()
	got := i.run(t, "", append([]string{"node"}, args...)...)
	if got.code != 0 {
		t.Fatalf("node %s: %+v", strings.Join(args, " "), got)
	}
	return got.stdout
}

// onNodes are the nodes on which an app's running Pods are, sorted.
func (n namespace) onNodes(t *testing.T, app string) string {
	t.Helper()
	nodes := strings.Fields(n.must(t, "get", "pods", "--selector=app="+app, "--field-selector=status.phase=Running", "-o", "go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.spec.nodeName}} {{end}}{{end}}"))
	slices.Sort(nodes)
	return strings.Join(nodes, " ")
}

// podOn is an app's Pod on a node.
func (n namespace) podOn(t *testing.T, app, node string) string {
	t.Helper()
	return strings.TrimSpace(n.must(t, "get", "pods", "--selector=app="+app, "--field-selector=spec.nodeName="+node, "-o", "jsonpath={.items[0].metadata.name}"))
}

func (n namespace) testNodesAreReached(t *testing.T) {
	port := n.value(t, "service/web", "{.spec.ports[0].nodePort}")
	for _, node := range []string{"one", "one-2", "one-3"} {
		pod := n.podOn(t, "web", node)
		if out := n.must(t, "exec", pod, "--", "/tool", "env", "HOSTNAME"); strings.TrimSpace(out) != pod {
			t.Errorf("exec into %s on %s: %s", pod, node, out)
		}
		n.must(t, "logs", pod)
		if out := n.must(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/pods"); strings.Count(out, `"nodeName":"`) != 2 || strings.Count(out, `"nodeName":"`+node+`"`) != 2 {
			t.Errorf("the agent of %s has other pods than its own two: %s", node, out)
		}
		address := n.value(t, "node/"+node, `{.status.addresses[?(@.type=="InternalIP")].address}`)
		eventually(t, func() error { return refusal("http://" + address + ":" + port) })
		if got := n.value(t, "pod/"+pod, "{.status.hostIP}"); got != address {
			t.Errorf("%s has the host address %s, its node %s", pod, got, address)
		}
	}
	eventually(t, func() error { return refusal("http://localhost:" + port) })
	eventually(t, func() error {
		if out := n.run(t, "top", "nodes"); out.code != 0 || strings.Count(out.stdout, "\n") != 4 {
			return fmt.Errorf("top nodes: %s%s", out.stdout, out.stderr)
		}
		return nil
	})
}

// refusal tells why a URL does not answer.
func refusal(url string) error {
	answer, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return err
}

func (n namespace) testNodesOutliveTheDaemon(t *testing.T) {
	before := n.containers(t, "status=running")
	n.in.kill(t)
	if err := n.in.up(); err != nil {
		t.Fatal(err)
	}
	n.must(t, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
	n.must(t, "rollout", "status", "deployment/web")
	if after := n.containers(t, "status=running"); !slices.Equal(before, after) {
		t.Errorf("the containers were %v and are %v", before, after)
	}
}

func (n namespace) testNodeComesAndGoes(t *testing.T) {
	cpu := func() string { return n.value(t, "node/one", "{.status.allocatable.cpu}") }
	before := cpu()
	n.in.node(t, "add", "extra", "--node-label", "topology.kubernetes.io/zone=c")
	eventually(t, func() error {
		if cpu() == before {
			return fmt.Errorf("with four nodes one of them has %s CPUs, as with three", before)
		}
		return nil
	})
	if got := n.in.run(t, "", "node", "add", "extra"); got.code != 1 || !strings.Contains(got.stderr, "extra is there already") {
		t.Errorf("added twice: %+v", got)
	}
	if got := n.in.run(t, "", "node", "remove", "nobody"); got.code != 1 || !strings.Contains(got.stderr, "there are extra, one, one-2, one-3") {
		t.Errorf("a node that is not there: %+v", got)
	}
	if got := n.in.run(t, "", "node", "remove", "one"); got.code != 1 || !strings.Contains(got.stderr, "the one that the instance began with") {
		t.Errorf("the first node: %+v", got)
	}
	n.apply(t, strings.Replace(toolPod("picky", "sleep"), "spec:\n", "spec:\n  nodeSelector: {topology.kubernetes.io/zone: c}\n", 1))
	n.must(t, "wait", "--for=condition=Ready", "pod/picky", "--timeout=60s")
	address := n.value(t, "node/extra", `{.status.addresses[?(@.type=="InternalIP")].address}`)
	if out := n.in.node(t, "remove", "extra"); strings.TrimSpace(out) != "node/extra removed" {
		t.Errorf("it says %s", out)
	}
	if got := n.run(t, "get", "pod/picky"); got.code != 1 || !strings.Contains(got.stderr, "NotFound") {
		t.Errorf("its pod: %+v", got)
	}
	left, err := n.in.docker("ps", "--all", "--quiet", "--filter", n.in.label(), "--filter", "label=io.kube-lite.node=extra")
	if err != nil || strings.TrimSpace(left) != "" {
		t.Errorf("its containers: %s, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(n.in.dataDir(), "nodes", "extra")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
	if out, err := output("ip", "-4", "address"); err != nil || strings.Contains(out, address+"/") {
		t.Errorf("its address %s: %s, %v", address, out, err)
	}
}

// A node that went silent is what upstream's node lifecycle controller makes of it, after its 50 s.
func (n namespace) testSilentNode(t *testing.T) {
	pod := n.podOn(t, "web", "one-2")
	uid := n.value(t, "pod/"+pod, "{.metadata.uid}")
	n.in.node(t, "stop", "one-2")
	if got := n.run(t, "logs", pod); got.code == 0 || !strings.Contains(got.stderr, "the agent of node one-2 does not run") {
		t.Errorf("logs of a silent node: %+v", got)
	}
	n.must(t, "wait", "--for=condition=Ready=Unknown", "node/one-2", "--timeout=120s")
	eventually(t, func() error {
		if got := n.onNodes(t, "web"); strings.Contains(got, "one-2") || len(strings.Fields(got)) != 3 {
			return fmt.Errorf("the pods are on %s", got)
		}
		return nil
	})
	running := func() string {
		t.Helper()
		out, err := n.in.docker("ps", "--quiet", "--filter", n.in.label(), "--filter", "label=io.kubernetes.pod.uid="+uid)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	if running() == "" {
		t.Error("the containers of the silent node have ended")
	}
	agent := n.podOn(t, "agent", "one-2") // a DaemonSet's Pods bear a silent node
	n.in.node(t, "start", "one-2")
	eventually(t, func() error {
		if left := running(); left != "" {
			return fmt.Errorf("%s was evicted and its containers run: %s", pod, left)
		}
		return nil
	})
	n.must(t, "wait", "--for=condition=Ready", "pod/"+agent, "--timeout=60s")
	if got := n.value(t, "pod/"+agent, "{.status.containerStatuses[0].restartCount}"); got != "0" {
		t.Errorf("what ran on was restarted %s times", got)
	}
}

func (n namespace) testNodesStopAndStart(t *testing.T) {
	n.in.node(t, "stop", "one-3")
	if err := n.in.do("stop"); err != nil {
		t.Fatal(err)
	}
	if left := n.containers(t, "status=running"); len(left) > 0 {
		t.Errorf("after stop there run %v", left)
	}
	if err := n.in.up(); err != nil {
		t.Fatal(err)
	}
	if got := n.run(t, "get", "--raw", "/api/v1/nodes/one-3/proxy/healthz"); got.code == 0 {
		t.Error("a node that was stopped runs after a restart of the daemon")
	}
	n.in.node(t, "start", "one-3")
	n.must(t, "rollout", "status", "daemonset/agent")
	eventually(t, func() error {
		if got := n.onNodes(t, "agent"); got != "one one-2 one-3" {
			return fmt.Errorf("the DaemonSet is on %s", got)
		}
		return nil
	})
}

// Ranges of Pod addresses that are too narrow are found out, and nothing half-made stays.
func TestNodesNeedRoomForTheirPods(t *testing.T) {
	t.Parallel()
	i, err := newInstance()
	if err != nil {
		t.Fatal(err)
	}
	i.binary = cluster.binary
	for at, flag := range i.flags {
		if cidr, ok := strings.CutPrefix(flag, "--pod-cidr="); ok {
			i.flags[at] = "--pod-cidr=" + strings.TrimSuffix(cidr, "/16") + "/24"
		}
	}
	i.removeAtEnd(t)
	flags := i.flags
	i.flags = append(slices.Clone(flags), "--nodes=2")
	if err := i.up(); err == nil || !strings.Contains(err.Error(), "has room for 1: use a wider --pod-cidr") {
		t.Errorf("two nodes in a /24: %v", err)
	}
	i.flags = flags
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	ns := namespace{"default", i}
	if got := ns.in.run(t, "", "node", "add", "second"); got.code != 1 || !strings.Contains(got.stderr, "too narrow for another node") {
		t.Errorf("got %+v", got)
	}
	eventually(t, func() error {
		if got := ns.must(t, "get", "nodes", "-o", "name"); strings.Count(got, "\n") != 1 {
			return fmt.Errorf("the nodes are %s", got)
		}
		return nil
	})
}

// Whatever somebody does to the Nodes by hand, no address stays on the bridge and no start waits for a node that cannot be.
func TestNodesThatSomebodyMadeOrLetGoByHand(t *testing.T) {
	t.Parallel()
	i, err := newInstance()
	if err != nil {
		t.Fatal(err)
	}
	i.binary, i.flags = cluster.binary, append(i.flags, "--nodes=2")
	i.removeAtEnd(t)
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	n := namespace{"default", i}
	second := strings.Fields(n.must(t, "get", "nodes", "-o", "name", "-l", "kube-lite.io/agent"))[0]
	address := n.value(t, second, `{.status.addresses[?(@.type=="InternalIP")].address}`)
	has := func() bool {
		out, err := exec.Command("ip", "-o", "-4", "addr").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Contains(string(out), " "+address+"/32 ")
	}
	if !has() {
		t.Fatalf("no device has %s of %s", address, second)
	}
	n.must(t, "patch", second, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	n.must(t, "delete", second)
	eventually(t, func() error {
		if has() {
			return fmt.Errorf("%s is still there", address)
		}
		return nil
	})
	n.apply(t, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"hand","labels":{"kube-lite.io/agent":"running"}},`+
		`"spec":{"podCIDR":"192.0.2.0/24","podCIDRs":["192.0.2.0/24"]}}`)
	eventually(t, func() error {
		if why := n.value(t, "node/hand", `{.status.conditions[?(@.type=="Ready")].message}`); !strings.Contains(why, "make the Node without one") {
			return fmt.Errorf("the node says %q", why)
		}
		return nil
	})
	if err := i.do("stop"); err != nil {
		t.Fatal(err)
	}
	i.flags = i.without("nodes")
	if err := i.up(); err != nil {
		t.Errorf("a start with such a Node: %v", err)
	}
}
