package cli

import (
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestOnlyWhatCanBeTypedHereIsRenamed(t *testing.T) {
	for text, want := range map[string]string{
		"kubectl get pods": "kube-lite get pods",
		"is missing the kubectl.kubernetes.io/x annotation which is required by kubectl apply. kubectl apply should": "is missing the kubectl.kubernetes.io/x annotation which is required by kube-lite apply. kube-lite apply should",
		"Use \"kubectl api-resources\" for a complete list.":                                                         "Use \"kube-lite api-resources\" for a complete list.",
		"resume it first with 'kubectl rollout resume'":                                                              "resume it first with 'kube-lite rollout resume'",
		"cat x | kubectl apply -f -":                                                                                 "cat x | kube-lite apply -f -",
		"unable to find any kubectl plugins in your PATH":                                                            "unable to find any kubectl plugins in your PATH",
		"conflict with \"kubectl-client-side-apply\"":                                                                "conflict with \"kubectl-client-side-apply\"",
		"image bitnami/kubectl get":                                                                                  "image bitnami/kubectl get",
		"warning: /usr/bin/kubectl-x identified as a kubectl plugin, but":                                            "warning: /usr/bin/kubectl-x identified as a kubectl plugin, but",
	} {
		if got := rename(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestTheOutputOfContainersAndObjectsIsLeftAlone(t *testing.T) {
	const text = "kubectl get pods"
	for line, want := range map[string]string{
		"apply -f x": "out kubectl err kube-lite", "logs x": "out kubectl err kube-lite", "cluster-info": "out kube-lite err kube-lite",
		"cluster-info dump": "out kubectl err kube-lite", "exec x -- y": "out kubectl err kubectl", "run x -i": "out kubectl err kubectl",
		"cp a b": "out kubectl err kubectl",
	} {
		var out, err strings.Builder
		s := renameMessages(genericiooptions.IOStreams{Out: &out, ErrOut: &err}, strings.Fields(line))
		for _, w := range []interface{ Write([]byte) (int, error) }{s.Out, s.ErrOut} {
			if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("%s: %d, %v", line, n, err)
			}
		}
		got := "out " + strings.Fields(out.String())[0] + " err " + strings.Fields(err.String())[0]
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
