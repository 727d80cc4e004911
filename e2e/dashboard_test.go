package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// dashboardApp is an Ingress, a Service and a Deployment whose pods write lines; another Deployment without an image.
const dashboardApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: kube-lite-test/tool:latest
        imagePullPolicy: Never
        args: [http-serve, ":8080", hello]
        ports: [{name: http, containerPort: 8080}]
      - name: writer
        image: kube-lite-test/shell:latest
        imagePullPolicy: Never
        command: [sh, -c, 'n=0; while n=$((n+1)); do echo "level=info msg=\"line $n of the writer\""; [ $n != 3 ] || echo "level=error msg=\"it broke\"" >&2; sleep 0.2; done']
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: lost, labels: {app: lost}}
spec:
  selector: {matchLabels: {app: lost}}
  template:
    metadata: {labels: {app: lost}}
    spec:
      containers: [{name: lost, image: "kube-lite-test/nothing-like-it:1", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  rules:
  - host: dashboard-test.localhost
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
`

// link asks for a login.
func (n namespace) link(t *testing.T, flags ...string) string {
	t.Helper()
	return strings.TrimSpace(n.must(t, append([]string{"dashboard"}, flags...)...))
}

// page is a browser that is logged in, at the namespace's map.
func (n namespace) page(t *testing.T, flags ...string) *browser {
	t.Helper()
	b := newBrowser(t)
	b.open(t, n.link(t, flags...))
	b.waitFor(t, "the page", element("button", "Sign out"))
	b.at(t, "#/"+n.name+"/map")
	return b
}

// at goes to a place of the page.
func (b *browser) at(t *testing.T, place string) {
	t.Helper()
	eval[bool](t, b, "(location.hash = "+quoteJS(place)+", true)")
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "looked-at")
	ns.apply(t, dashboardApp)
	ns.must(t, "rollout", "status", "deployment/web", "--timeout=90s")
	b := ns.page(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, namespace, *browser)
	}{
		{"map", testMap}, {"why", testWhy}, {"logs", testLogs}, {"terminal", testTerminal}, {"yaml", testYAML}, {"actions", testActions},
		{"forward", testForward}, {"lists and keys", testListsAndKeys}, {"disk", testDisk}, {"looks", testLooks}, {"session", testSession},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, ns, b) })
	}
}

// The map leads from the Ingress to the pods, says what is wrong where it is, and changes as the cluster does.
func testMap(t *testing.T, n namespace, b *browser) {
	for _, text := range []string{"shop", "web", "lost", "dashboard-test.localhost"} {
		b.waitText(t, text)
	}
	b.waitText(t, "ErrImageNeverPull")
	b.screenshot(t, "map")
	n.must(t, "set", "image", "deployment/lost", "lost=kube-lite-test/tool:latest")
	b.waitFor(t, "the end of the failure", "!document.body.innerText.includes('ErrImageNeverPull')")
	n.apply(t, service("nobody", "selector: {app: nobody-has-it}, ports: [{port: 80}]"))
	b.waitText(t, "nobody")
	n.must(t, "delete", "service/nobody", "deployment/lost")
	b.waitFor(t, "the end of what was deleted", "!document.body.innerText.includes('nobody')")
}

// An object shows the sentence of why, its tree and its events.
func testWhy(t *testing.T, n namespace, b *browser) {
	n.must(t, "create", "deployment", "lost", "--image=kube-lite-test/nothing-like-it:1")
	n.must(t, "patch", "deployment", "lost", "-p", `{"spec": {"template": {"spec": {"containers": [{"name": "nothing-like-it", "imagePullPolicy": "Never"}]}}}}`)
	b.at(t, "#/"+n.name+"/object/deployments.apps/lost")
	b.waitText(t, "kube-lite-test/nothing-like-it:1")
	b.waitFor(t, "why", "document.querySelector('section.why-broken')?.innerText.includes('is not on node')")
	b.waitFor(t, "the tree", "document.querySelector('[role=tree]')?.innerText.includes('lost-')")
	b.screenshot(t, "broken")
	b.click(t, "tab", "Events")
	b.waitText(t, "ScalingReplicaSet")
	n.must(t, "delete", "deployment", "lost")
	b.waitText(t, "It was deleted")
}

// The logs of all pods of a workload are one, live, with search.
func testLogs(t *testing.T, n namespace, b *browser) {
	pods := strings.Fields(n.must(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"))
	b.at(t, "#/"+n.name+"/object/deployments.apps/web?tab=logs")
	b.waitText(t, "of the writer")
	for _, pod := range pods {
		b.waitText(t, pod[strings.LastIndex(pod, "-")+1:])
	}
	count := `Number((document.querySelector('.log-lines, [role=log]')?.innerText.match(/line (\d+) of the writer/g) || ['0']).at(-1).match(/\d+/)[0])`
	before := eval[float64](t, b, count)
	b.waitFor(t, "new lines", fmt.Sprintf("%s > %v", count, before))
	b.fill(t, "Search in the log", "it broke")
	b.waitText(t, "2 found")
	b.click(t, "button", "Previous match")
	b.waitText(t, "it broke")
	b.screenshot(t, "logs")
}

// The terminal is one in the container.
func testTerminal(t *testing.T, n namespace, b *browser) {
	pod := strings.Fields(n.must(t, "get", "pods", "-l", "app=web", "-o", "name"))[0]
	b.at(t, "#/"+n.name+"/object/pods/"+strings.TrimPrefix(pod, "pod/")+"?tab=terminal")
	b.waitFor(t, "the choice of a container", "[...document.querySelectorAll('section.terminal select')].some((s) => [...s.options].some((o) => o.value === 'writer'))")
	eval[bool](t, b, `(() => {
		const choice = [...document.querySelectorAll('section.terminal select')].find((s) => [...s.options].some((o) => o.value === 'writer'));
		choice.value = 'writer';
		choice.dispatchEvent(new Event('change', {bubbles: true}));
		return true;
	})()`)
	screen := "document.querySelector('.xterm-rows')?.innerText"
	b.waitFor(t, "a prompt", "/[#$]/.test("+screen+")")
	eval[bool](t, b, "(document.querySelector('.xterm-helper-textarea').focus(), true)")
	b.press(t, "echo $((40+2))-from-the-container"+enter)
	b.waitFor(t, "the command's output", screen+".includes('42-from-the-container')")
	b.screenshot(t, "terminal")
	b.press(t, "exit 3"+enter)
	b.waitText(t, "Start again")
}

// An edit says what is wrong at its line, shows what it would change, and changes that alone.
func testYAML(t *testing.T, n namespace, b *browser) {
	b.at(t, "#/"+n.name+"/object/deployments.apps/web?tab=yaml")
	b.click(t, "button", "Edit")
	replace := func(from, to string) {
		t.Helper()
		b.waitFor(t, "the text "+from, "document.querySelector('textarea')?.value.includes("+quoteJS(from)+")")
		b.fill(t, "YAML", strings.Replace(eval[string](t, b, "document.querySelector('textarea').value"), from, to, 1))
	}
	replace("terminationGracePeriodSeconds:", "terminationGracePeriod:")
	b.click(t, "button", "Review")
	b.waitText(t, `did you mean "terminationGracePeriodSeconds"?`)
	b.screenshot(t, "problem")
	replace("terminationGracePeriod:", "terminationGracePeriodSeconds:")
	replace("replicas: 2", "replicas: 3")
	b.click(t, "button", "Review")
	b.waitFor(t, "the conflict or the difference", element("button", "Take these fields over")+" || "+element("button", "Save"))
	if eval[bool](t, b, "Boolean("+element("button", "Take these fields over")+")") {
		b.waitText(t, "replicas")
		b.click(t, "button", "Take these fields over")
	}
	b.waitFor(t, "what would change", "document.body.innerText.includes('replicas: 3')")
	b.screenshot(t, "review")
	b.click(t, "button", "Save")
	eventually(t, func() error {
		if got := n.must(t, "get", "deployment/web", "-o", "jsonpath={.spec.replicas}"); got != "3" {
			return fmt.Errorf("it has %s replicas", got)
		}
		return nil
	})
	fields := n.must(t, "get", "deployment/web", "-o", `jsonpath={.metadata.managedFields[?(@.manager=="kube-lite-dashboard")].fieldsV1}`)
	if fields != `{"f:spec":{"f:replicas":{}}}` {
		t.Errorf("the page manages %s", fields)
	}
}

// Workloads are scaled, restarted, taken back and deleted, after a question.
func testActions(t *testing.T, n namespace, b *browser) {
	b.at(t, "#/"+n.name+"/object/deployments.apps/web")
	b.click(t, "button", "Scale")
	b.fill(t, "Replicas", "1")
	eval[bool](t, b, "([...document.querySelectorAll('[role=dialog] button, dialog button')].find((e) => e.type === 'submit').click(), true)")
	n.waitForField(t, "deployment/web", "{.status.replicas}", "1")

	b.click(t, "button", "Restart")
	eval[bool](t, b, "([...document.querySelectorAll('[role=dialog] button, dialog button')].find((e) => e.type === 'submit').click(), true)")
	n.waitForField(t, "deployment/web", `{.metadata.annotations.deployment\.kubernetes\.io/revision}`, "2")
	n.must(t, "rollout", "status", "deployment/web", "--timeout=90s")

	b.click(t, "button", "Undo")
	b.waitFor(t, "the revisions", "document.querySelector('[role=dialog], dialog[open]')?.innerText.includes('1')")
	b.screenshot(t, "undo")
	b.press(t, "\x1b")
	b.waitFor(t, "the end of the dialog", "!document.querySelector('[role=dialog], dialog[open]')")

	var pod string
	eventually(t, func() error { // the one of the new revision, when the old one is gone
		if pod = n.must(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"); strings.Contains(pod, " ") {
			return fmt.Errorf("there are several: %s", pod)
		}
		return nil
	})
	b.at(t, "#/"+n.name+"/object/pods/"+pod)
	b.click(t, "button", "Delete")
	b.waitText(t, "This cannot be undone.")
	eval[bool](t, b, "([...document.querySelectorAll('[role=dialog] button, dialog button')].find((e) => e.type === 'submit').click(), true)")
	b.waitText(t, "It was deleted")
	n.must(t, "rollout", "status", "deployment/web", "--timeout=90s")
}

// waitForField waits until a field of an object has a value.
func (n namespace) waitForField(t *testing.T, object, path, want string) {
	t.Helper()
	eventually(t, func() error {
		if got := n.must(t, "get", object, "-o", "jsonpath="+path); got != want {
			return fmt.Errorf("%s of %s is %q, want %q", path, object, got, want)
		}
		return nil
	})
}

// A forward is a port of this machine until it is stopped.
func testForward(t *testing.T, n namespace, b *browser) {
	b.at(t, "#/"+n.name+"/object/services/web")
	b.waitText(t, "localhost:"+n.must(t, "get", "service/web", "-o", "jsonpath={.spec.ports[0].nodePort}"))
	b.click(t, "button", "Forward")
	b.waitFor(t, "the link", "document.querySelector('.forward a')")
	link := eval[string](t, b, "document.querySelector('.forward a').href")
	answers(t, link, "hello")
	b.screenshot(t, "forward")
	b.click(t, "button", "Stop")
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		conn, err := net.Dial("tcp", u.Host)
		if err == nil {
			conn.Close()
			return fmt.Errorf("%s still answers", u.Host)
		}
		return nil
	})
}

// Lists show every kind, and a label leads to what has it; keys lead there.
func testListsAndKeys(t *testing.T, n namespace, b *browser) {
	n.apply(t, toolPod("other", "sleep"))
	pod := n.must(t, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
	b.at(t, "#/"+n.name+"/object/pods/"+pod)
	b.click(t, "link", "app=web")
	b.waitFor(t, "the pods with the label", "document.querySelector('table')?.innerText.includes("+quoteJS(pod)+")")
	if eval[bool](t, b, "document.querySelector('table').innerText.includes('other')") {
		t.Error("the list shows what has another label")
	}
	b.at(t, "#/"+n.name+"/map")
	b.waitFor(t, "the map", "location.hash.endsWith('/map')")
	eval[bool](t, b, "(document.activeElement?.blur(), true)")
	b.press(t, "gp")
	b.waitFor(t, "the list of pods", "document.querySelector('table')?.innerText.includes('web-')")
	b.press(t, "/")
	b.press(t, "no-pod-is-called-so")
	b.waitFor(t, "an empty list", "!document.querySelector('main')?.innerText.includes('web-')")
	b.press(t, "\x1b")
	eval[bool](t, b, "(document.activeElement?.blur(), true)")
	b.press(t, "?")
	b.waitFor(t, "the help", "document.querySelector('[role=dialog], dialog[open]')")
	b.press(t, "\x1b")
	b.at(t, "#/"+n.name+"/list/secrets")
	n.must(t, "create", "secret", "generic", "safe", "--from-literal=word=not-for-everybody")
	b.waitText(t, "safe")
	if eval[bool](t, b, "document.body.innerText.includes('not-for-everybody')") {
		t.Error("a list shows what is in a Secret")
	}
}

// Disk and images are the node's, and prune says what it would remove.
func testDisk(t *testing.T, n namespace, b *browser) {
	b.at(t, "#/"+n.name+"/disk")
	b.waitText(t, "kube-lite-test/tool:latest")
	b.click(t, "button", "Prune")
	b.waitFor(t, "what would go", "document.querySelector('[role=dialog], dialog[open]')?.innerText.match(/remove/i)")
	b.screenshot(t, "prune")
	b.click(t, "button", "Cancel")
}

// Dark and light are both drawn, and the page's text can be read in both.
func testLooks(t *testing.T, n namespace, b *browser) {
	colours := map[string]bool{}
	for _, scheme := range []string{"dark", "light"} {
		b.prefers(t, scheme)
		for _, place := range []string{"map", "list/pods", "object/deployments.apps/web"} {
			b.at(t, "#/"+n.name+"/"+place)
			b.waitText(t, "web")
			b.screenshot(t, scheme+"-"+strings.ReplaceAll(place, "/", "-"))
		}
		colours[eval[string](t, b, "getComputedStyle(document.body).backgroundColor")] = true
	}
	if len(colours) != 2 {
		t.Errorf("dark and light look alike: %v", colours)
	}
}

// A session outlives a reload of the page, and ends by signing out; a link is good once.
func testSession(t *testing.T, n namespace, b *browser) {
	b.run(t, chromedp.Reload())
	b.waitText(t, "web")
	base := eval[string](t, b, "location.origin")
	token := eval[string](t, b, "Object.values(localStorage).find((v) => /^[0-9a-f]{64}$/.test(v)) || ''")
	if token == "" || eval[string](t, b, "document.cookie") != "" {
		t.Error("the session is not where it should be")
	}
	session := func() (int, error) {
		req, err := http.NewRequest(http.MethodGet, base+"/session", nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	if code, err := session(); code != http.StatusOK {
		t.Errorf("the session before its end: %d, %v", code, err)
	}
	b.click(t, "button", "Sign out")
	b.waitText(t, "dashboard") // the command that logs in
	b.screenshot(t, "signed-out")
	eventually(t, func() error {
		if code, err := session(); err == nil && code != http.StatusUnauthorized {
			return fmt.Errorf("the session after its end: %d", code)
		}
		return nil
	})
}

// Somebody who may only view sees so, and what they may not have stays hidden.
func TestDashboardHasTheUsersRights(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "viewed")
	ns.apply(t, toolPod("web", "sleep"))
	ns.must(t, "create", "secret", "generic", "safe", "--from-literal=word=not-for-everybody")
	ns.must(t, "create", "serviceaccount", "viewer")
	ns.must(t, "create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount="+ns.name+":viewer")
	b := ns.page(t, "--as=system:serviceaccount:"+ns.name+":viewer")
	b.at(t, "#/"+ns.name+"/object/pods/web")
	b.waitText(t, "Running")
	b.waitFor(t, "a button for what is not allowed", element("button", "Delete")+"?.disabled")
	b.screenshot(t, "pod")
	b.at(t, "#/"+ns.name+"/list/secrets")
	b.waitFor(t, "the refusal", "/may not|forbidden/i.test(document.querySelector('main').innerText)")
	if eval[bool](t, b, "document.body.innerText.includes('safe')") {
		t.Error("the page shows a Secret's name")
	}
}
