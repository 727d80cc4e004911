package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// policyManifest is a NetworkPolicy for the pods with this label; an empty one means all.
func policyManifest(name, app, spec string) string {
	selector := "{}"
	if app != "" {
		selector = "{matchLabels: {app: " + app + "}}"
	}
	return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s}\nspec: {podSelector: %s, %s}\n---\n", name, selector, spec)
}

// reaches waits until a pod gets an answer from a URL, or until it gets none.
func (n namespace) reaches(t *testing.T, pod, url string, want bool) {
	t.Helper()
	eventually(t, func() error {
		got, err := n.tool(t, pod, "http-get", url)
		switch {
		case err == nil && !want:
			return fmt.Errorf("%s reaches %s: %s", pod, url, got)
		case err != nil && want:
			return fmt.Errorf("%s cannot reach %s: %w", pod, url, err)
		case err != nil && !strings.Contains(err.Error(), "deadline exceeded") && !strings.Contains(err.Error(), "timeout"):
			return fmt.Errorf("%s to %s: want no answer at all, got %w", pod, url, err)
		}
		return nil
	})
}

// Policies keep pods apart as they say, through Services and directly, and everything is open again without them.
func TestNetworkPoliciesAreEnforced(t *testing.T) {
	t.Parallel()
	ns, other := newNamespace(t, "policies"), newNamespace(t, "policies-other")
	probed := strings.Replace(toolPod("web", `http-serve, ":8080", web`, "{name: http, containerPort: 8080}"), "    ports:",
		"    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1, failureThreshold: 1}\n    ports:", 1)
	ns.apply(t, probed+toolPod("second", `http-serve, ":8080", second`, "{name: http, containerPort: 8080}")+toolPod("friend", "sleep")+toolPod("stranger", "sleep")+
		service("web", "type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]"))
	other.apply(t, toolPod("friend", "sleep"))
	ns.waitForPods(t, 4, "(web|second|friend|stranger)")
	other.waitForPods(t, 1, "friend")
	url := "http://web." + ns.name + ".svc.cluster.local"
	second := "http://" + ns.value(t, "pod/second", "{.status.podIP}") + ":8080"
	clients := map[string]namespace{"friend": ns, "stranger": ns}
	for pod, in := range clients {
		in.reaches(t, pod, url, true)
	}
	other.reaches(t, "friend", url, true)

	t.Run("nothing comes in by default", func(t *testing.T) {
		ns.apply(t, policyManifest("deny", "web", "policyTypes: [Ingress]"))
		ns.reaches(t, "friend", url, false)
		other.reaches(t, "friend", url, false)
		ns.reaches(t, "friend", second, true)
		ns.reaches(t, "web", url, true) // itself, through its Service
		waitForAnswer(t, ns.nodePort(t, "web"), "web")
		if got := ns.value(t, "pod/web", "{.status.containerStatuses[0].ready}"); got != "true" {
			t.Errorf("a pod whose probe comes from this machine: ready is %s", got)
		}
	})
	t.Run("labels and namespaces let in", func(t *testing.T) {
		ns.apply(t, policyManifest("friends", "web", "ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: http}]}]"))
		ns.reaches(t, "friend", url, true)
		ns.reaches(t, "stranger", url, false)
		other.reaches(t, "friend", url, false)
		ns.apply(t, policyManifest("others", "web", "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "+other.name+"}}}]}]"))
		other.reaches(t, "friend", url, true)
		ns.must(t, "label", "pod", "stranger", "app=friend", "--overwrite")
		ns.reaches(t, "stranger", url, true)
	})
	t.Run("what goes out", func(t *testing.T) {
		names := "egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}"
		ns.apply(t, policyManifest("out", "friend", "policyTypes: [Egress], "+names+", {to: [{ipBlock: {cidr: 0.0.0.0/0, except: ["+
			ns.value(t, "pod/second", "{.status.podIP}")+"/32]}}], ports: [{port: 8080}]}]"))
		ns.reaches(t, "friend", second, false)
		ns.reaches(t, "friend", url, true)
		ns.reaches(t, "friend", "https://kubernetes.default.svc.cluster.local", false)
	})
	t.Run("all is open again", func(t *testing.T) {
		ns.must(t, "delete", "networkpolicy", "--all")
		ns.reaches(t, "friend", second, true)
		ns.reaches(t, "stranger", url, true)
		other.reaches(t, "friend", url, true)
	})
	t.Run("from the first moment", func(t *testing.T) {
		ns.apply(t, policyManifest("silent", "silent", "policyTypes: [Egress]")+policyManifest("allowed", "allowed", "policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: second}}}]}]"))
		manifest := ""
		for pod, app := range map[string]string{"silent-1": "silent", "silent-2": "silent", "silent-3": "silent", "allowed-1": "allowed"} {
			manifest += strings.Replace(strings.Replace(toolPod(pod, "http-get, "+second), "app: "+pod, "app: "+app, 1), "spec:", "spec:\n  restartPolicy: Never", 1)
		}
		ns.apply(t, manifest)
		for pod, want := range map[string]string{"silent-1": "Failed", "silent-2": "Failed", "silent-3": "Failed", "allowed-1": "Succeeded"} {
			ns.waitForValue(t, "pod/"+pod, "{.status.phase}", "^(Failed|Succeeded)$")
			if got := ns.value(t, "pod/"+pod, "{.status.phase}"); got != want {
				t.Errorf("%s, whose only container calls at once: %s, want %s: %s", pod, got, want, ns.must(t, "logs", pod))
			}
		}
	})
	if got := ns.must(t, "get", "events"); strings.Contains(got, "NetworkPolicyIncomplete") {
		t.Errorf("events: %s", got)
	}
}
