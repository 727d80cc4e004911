package why

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func TestImagesThatAreNotToBeHad(t *testing.T) {
	waits := func(reason, message string) string {
		return `state: {waiting: {reason: ` + reason + `, message: ` + quote(message) + `}}`
	}
	local := map[string]string{"images": `[{"names":["shop/web:0.9"]},{"names":["shop/web:1.1"]},{"names":["shop/api:1.0"]}]`}
	checkAll(t, []fact{
		{name: "with other tags here", ask: "pod/web", state: Broken, says: `the image "shop/web:1.0" of container web is not on node node, and the registry docker.io gives it to nobody without a login, or does not have it; there are shop/web:0.9, shop/web:1.1`,
			mends: "kube-lite set image pod/web web=shop/web:1.1", node: local,
			api: onNode(waits("ImagePullBackOff", `Back-off pulling image "shop/web:1.0": ErrImagePull: pull access denied for shop/web, repository does not exist or may require 'docker login'`), "")},
		{name: "never pulled", ask: "pod/web", state: Broken, says: "imagePullPolicy Never forbids to pull it", node: map[string]string{"images": `[]`}, mends: "docker build -t shop/web:1.0 DIR",
			api: onNode(waits("ErrImageNeverPull", "not present with pull policy of Never"), ", imagePullPolicy: Never")},
		{name: "on another cluster", ask: "pod/web", state: Broken, says: "the registry docker.io does not have it; there is shop/web:1.0",
			api: onNode(waits("ErrImagePull", "manifest unknown"), "")},
		{name: "a name that is none", ask: "pod/web", state: Broken, says: `"Shop/Web", is no name that an image can have`,
			api: strings.Replace(onNode(waits("InvalidImageName", "must be lowercase"), ""), "shop/web:1.0\"}", "Shop/Web\"}", 1)},
	})
}

func TestPullErrorsInWords(t *testing.T) {
	name, err := reference.ParseNormalizedNamed("ghcr.io/shop/web:1.0")
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{
		"dial tcp: lookup ghcr.io: no such host":         "its registry ghcr.io cannot be reached",
		"net/http: request canceled (Client.Timeout)":    "its registry ghcr.io cannot be reached",
		"unauthorized: authentication required":          "the registry ghcr.io gives it to nobody without a login, or does not have it",
		"manifest for ghcr.io/shop/web:1.0 not found":    "the registry ghcr.io does not have it",
		"no matching manifest for linux/arm64/v8":        "the registry ghcr.io does not have it for this machine's processor",
		"write /var/lib/docker: no space left on device": "there is no space left on the disk to pull it",
		"toomanyrequests: slow down":                     "it cannot be pulled: toomanyrequests: slow down",
	} {
		if got := pullWords(name, said); got != want {
			t.Errorf("%s: %s, want %s", said, got, want)
		}
	}
}

func TestNearestNames(t *testing.T) {
	all := []string{"web", "web-config", "payments-database", "kube-root-ca.crt"}
	for name, want := range map[string]string{
		"wbe": "web", "we": "", "Web": "web", "web-confg": "web-config", "config": "web-config", "payments": "payments-database",
		"database": "payments-database", "root": "", "settings": "", "db": "",
	} {
		if got := nearest(name, all); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}
