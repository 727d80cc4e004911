package cli

import (
	"slices"
	"strings"
	"testing"
)

// What each command line needs before kubectl may run it.
func TestCalls(t *testing.T) {
	const server, starts, other, files = "server", "starts", "other", "files"
	tests := []struct {
		line string
		want []string
	}{
		{"get pods", []string{server}},
		{"get pods -o wide -w", []string{server}},
		{"get pods --help", nil},
		{"get pods -h", nil},
		{"get pods --bogus", nil},
		{"get pods --context x", []string{server, other}},
		{"get pods -s https://h:1", []string{server, other}},
		{"-s https://h:1 get pods", []string{server, other}},
		{"get pods -Ashttps://h:1", []string{server, other}},
		{"get pods --kubeconfig=x", []string{server, other}},
		{"exec pod -- curl --context x -s http://echo", []string{server}},
		{"run x --image=y -- -s --kubeconfig=x", []string{server, starts}},
		{"run x --image=y --dry-run=client -o yaml", []string{server, starts}}, // kubectl looks up the kind
		{"apply -f x.yaml", []string{server, starts, files}},
		{"apply -k dir", []string{server, starts, files}},
		{"apply -f x.yaml --context x", []string{server, starts, other, files}},
		{"apply", []string{starts}}, // kubectl complains
		{"apply view-last-applied -f x.yaml", []string{server}},
		{"create -f x.yaml", []string{server, starts, files}},
		{"create -f x.yaml --dry-run=client", []string{server, starts, files}},
		{"create", []string{starts}},
		{"create deployment x --image=y", []string{server, starts}},
		{"create deployment x --image=y --dry-run=client -o yaml", []string{starts}},
		{"create deployment x --image=y --dry-run=server", []string{server, starts}},
		{"create role x --verb=get --resource=pods --dry-run=client", []string{server, starts}},
		{"create job x --image=y --dry-run=client", []string{starts}},
		{"create job x --from=cronjob/y --dry-run=client", []string{server, starts}},
		{"replace -f x.yaml", []string{server, files}},
		{"delete -f x.yaml", []string{server}},
		{"set image -f x.yaml a=b --local -o yaml", nil},
		{"set image deploy/x a=b", []string{server}},
		{"set image -f x.yaml a=b --local=false", []string{server}},
		{"rollout", nil},
		{"rollout undo deployment echo", []string{server}},
		{"cluster-info", []string{server}},
		{"config view", nil},
		{"kustomize dir", nil},
		{"options", nil},
		{"plugin list", nil},
		{"explain deploy.spec.strategy", []string{server}},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			e, args := quiet(t), strings.Fields(tt.line)
			c := read(e.newKubectl(append([]string{programName}, args...), nil), args)
			var got []string
			for _, fact := range []struct {
				name string
				is   bool
			}{{server, c.needsServer()}, {starts, c.starts()}, {other, c.otherCluster()}, {files, c.sendsFiles()}} {
				if fact.is {
					got = append(got, fact.name)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Reading a command line leaves its flags to be set once more.
func TestReadingSetsNothing(t *testing.T) {
	args := []string{"apply", "-f", "a", "-f", "b", "-R", "-n", "x"}
	root := quiet(t).newKubectl(append([]string{programName}, args...), nil)
	c := read(root, args)
	if got := c.flags["filename"]; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("filename %q", got)
	}
	for _, name := range []string{"filename", "recursive", "namespace"} {
		if f := c.command.Flags().Lookup(name); f.Changed || f.Value.String() != f.DefValue {
			t.Errorf("--%s is %s", name, f.Value)
		}
	}
}

// Commands that have subcommands show their help when called without one. A new
// one that does something must be added to needsServer.
func TestGroupsOfCommands(t *testing.T) {
	var got []string
	for _, c := range quiet(t).newKubectl([]string{programName}, nil).Commands() {
		if c.HasSubCommands() && !alone(c.Name()) {
			got = append(got, c.Name())
		}
	}
	want := []string{"apply", "auth", "certificate", "cluster-info", "create", "rollout", "set", "top"}
	if !slices.Equal(got, want) {
		t.Errorf("commands with subcommands: %q, known: %q", got, want)
	}
}

func TestVerbFirst(t *testing.T) {
	tests := []struct{ line, want string }{
		{"get pods", "get pods"},
		{"get -n x pods", "get -n x pods"},
		{"--name a get pods", "--name a get pods"},
		{"-n kube-system get pods", "get -n kube-system pods"},
		{"-nkube-system get pods", "get -nkube-system pods"},
		{"--namespace=x --name a get pods", "--name a get --namespace=x pods"},
		{"--name=a --insecure-skip-tls-verify -v 6 get pods", "--name=a get --insecure-skip-tls-verify -v 6 pods"},
		{"-s https://h:1 exec p -- ls", "exec -s https://h:1 p -- ls"},
		{"--bogus get pods", "--bogus get pods"},
		{"--help", "--help"},
		{"-n", "-n"},
		{"-n x", "-n x"},
		{"help get", "get --help"},
		{"--name a h rollout undo", "--name a rollout undo --help"},
		{"help start", "help start"},
		{"help", "help"},
		{"", ""},
	}
	for _, tt := range tests {
		args := append([]string{programName}, strings.Fields(tt.line)...)
		before := slices.Clone(args)
		if got := strings.Join(verbFirst(quiet(t), args)[1:], " "); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.line, got, tt.want)
		}
		if !slices.Equal(args, before) {
			t.Errorf("%q was changed in place", tt.line)
		}
	}
}
