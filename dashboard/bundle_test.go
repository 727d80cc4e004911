package dashboard

import (
	"os"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/dashboard/build/sources"
)

// The bundle in the repository is of the sources beside it.
func TestBundleIsCurrent(t *testing.T) {
	want, err := sources.Digest(os.DirFS("web"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("web/dist/sources.sha256")
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("web/dist is stale (%v): run go generate ./dashboard, and commit what it makes", err)
	}
}

// Nothing in the bundle is asked of another host.
func TestBundleNamesNoHost(t *testing.T) {
	for _, name := range []string{"web/index.html", "web/dist/app.js", "web/dist/app.css"} {
		text, err := bundle.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"https://", "http://", "ws://", "wss://"} {
			for at := 0; ; {
				n := strings.Index(string(text[at:]), scheme)
				if n < 0 {
					break
				}
				at += n
				if found := string(text[at:min(len(text), at+60)]); !isKnownURL(found) {
					t.Errorf("%s has %q", name, found)
				}
				at += len(scheme)
			}
		}
	}
}

// isKnownURL tells of names that look like addresses: of XML, in licences, and of what this machine serves.
func isKnownURL(text string) bool {
	for _, known := range []string{
		"http://www.w3.org/", "http://bellard.org/jslinux/", "https://github.com/chjj/term.js", "http://localhost", "http://127.0.0.1", "https://localhost", "http://${", "https://${", "http://\"", "https://\"", "http://`",
	} {
		if strings.HasPrefix(text, known) {
			return true
		}
	}
	return false
}
