package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestNodeSaysWhatIsWrong(t *testing.T) {
	for args, want := range map[string]string{
		"add":                           "node add: name one node: kube-lite node add NAME",
		"add one two":                   "node add: name one node: kube-lite node add NAME",
		"add Laptop_2":                  `node "Laptop_2": use at most 63 lower case letters`,
		"add two --zone=b":              "flag provided but not defined: -zone",
		"remove two --node-label=a=b":   "flag provided but not defined: -node-label",
		"stop two":                      "not running: start it with",
		"start two":                     "not running: start it with",
		"restart two":                   "node restart: use add, remove, stop or start",
		"add two --node-label zone=b":   "not running: start it with",
		"add --node-label zone=b two":   "not running: start it with",
		"add two --node-label zone=b 3": "node add: name one node: kube-lite node add NAME",
	} {
		var out bytes.Buffer
		e := &env{ctx: t.Context(), stdout: &out, stderr: &out}
		line := append([]string{"kube-lite", "--data-dir", t.TempDir(), "node"}, strings.Fields(args)...)
		err := newApp(e).RunContext(t.Context(), line)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("node %s: %v, want %s", args, err, want)
		}
	}
}
