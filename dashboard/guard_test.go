package dashboard

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A name that leads to this machine is not enough, and another site's page gets nothing.
func TestOthersAreRefused(t *testing.T) {
	r := newRig(t)
	jane := r.login(t, "jane")
	for _, f := range []struct {
		name, header, value string
		want                int
	}{
		{"rebound name", "Host", "evil.example:8080", http.StatusMisdirectedRequest},
		{"name that begins alike", "Host", "localhost.evil.example", http.StatusMisdirectedRequest},
		{"address of the network", "Host", "192.168.0.1:8080", http.StatusMisdirectedRequest},
		{"localhost", "Host", "localhost:8080", http.StatusOK},
		{"IPv6", "Host", "[::1]:8080", http.StatusOK},
		{"another site", "Origin", "http://evil.example", http.StatusForbidden},
		{"another port of this machine", "Origin", "http://127.0.0.1:1", http.StatusForbidden},
		{"a sandboxed frame", "Origin", "null", http.StatusForbidden},
		{"the page", "Origin", jane.base, http.StatusOK},
		{"another site's link to the API", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"another port's", "Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{"the page's own", "Sec-Fetch-Site", "same-origin", http.StatusOK},
	} {
		req := jane.request(t, http.MethodGet, "/session", "")
		if f.header == "Host" {
			req.Host = f.value
		} else {
			req.Header.Set(f.header, f.value)
		}
		if got, _, text := do(t, req); got != f.want {
			t.Errorf("%s: %d %s, want %d", f.name, got, text, f.want)
		}
	}
}

// Each page has a nonce of its own, and nothing of other hosts, of text or of attributes is let in.
func TestPageHasAPolicy(t *testing.T) {
	r := newRig(t)
	base, _ := r.link(t, "jane")
	nonce := regexp.MustCompile(`<meta name="csp-nonce" content="([0-9a-f]{32})"`)
	seen := map[string]bool{}
	for range 2 {
		_, header, text := do(t, client{base: base}.request(t, http.MethodGet, "/", ""))
		policy := header.Get("Content-Security-Policy")
		found := nonce.FindStringSubmatch(text)
		if found == nil || seen[found[1]] || !strings.Contains(policy, "'nonce-"+found[1]+"'") {
			t.Fatalf("the page has no nonce of its own: %s\n%s", policy, text)
		}
		seen[found[1]] = true
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("the policy lacks %s: %s", want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("the policy lets in what it should not: %s", policy)
		}
	}
}

// What a pod answers through the API is no page of this origin.
func TestAnswersOfPodsAreNoPages(t *testing.T) {
	r := newRig(t)
	r.api.HandleFunc("/api/v1/namespaces/default/pods/evil/proxy/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "script-src *")
		w.Header().Set("Set-Cookie", "a=b")
		_, _ = w.Write([]byte("<script>alert(1)</script>"))
	})
	_, header, _ := do(t, r.login(t, "jane").request(t, http.MethodGet, "/k8s/api/v1/namespaces/default/pods/evil/proxy/", ""))
	if got := header.Values("Content-Security-Policy"); len(got) != 1 || !strings.Contains(got[0], "sandbox") || header.Get("Set-Cookie") != "" {
		t.Errorf("the answer has the header %v", header)
	}
}
