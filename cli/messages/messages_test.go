package messages

import (
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	for line, want := range map[string]string{
		"kube-lite":                                "",
		"kube-lite start":                          "start",
		"kube-lite --name a start --api-port=1":    "start",
		"kube-lite --name=a --data-dir=/b serve":   "serve",
		"kube-lite --name start get pods":          "get",
		"kube-lite get pod start":                  "get",
		"kube-lite --name=a --data-dir start stop": "stop",
	} {
		if got := command(strings.Fields(line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
