package cli

import (
	"github.com/urfave/cli/v2"
	"slices"
)

// verbGroup is a heading of kubectl's help and what stands under it.
type verbGroup struct {
	title string
	verbs []verb
}

type verb struct{ name, usage string }

// verbGroups repeats what kubectl has, so that building its commands, which
// takes longer than all else, is left to the runs that need them. A test
// compares.
func verbGroups() []verbGroup {
	return []verbGroup{
		{"Basic Commands (Beginner)", []verb{
			{"create", "Create a resource from a file or from stdin"},
			{"expose", "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service"},
			{"run", "Run a particular image on the cluster"},
			{"set", "Set specific features on objects"},
		}},
		{"Basic Commands (Intermediate)", []verb{
			{"explain", "Get documentation for a resource"},
			{"get", "Display one or many resources"},
			{"edit", "Edit a resource on the server"},
			{"delete", "Delete resources by file names, stdin, resources and names, or by resources and label selector"},
		}},
		{"Deploy Commands", []verb{
			{"rollout", "Manage the rollout of a resource"},
			{"scale", "Set a new size for a deployment, replica set, or replication controller"},
			{"autoscale", "Auto-scale a deployment, replica set, stateful set, or replication controller"},
		}},
		{"Cluster Management Commands", []verb{
			{"certificate", "Modify certificate resources"},
			{"cluster-info", "Display cluster information"},
			{"top", "Display resource (CPU/memory) usage"},
			{"cordon", "Mark node as unschedulable"},
			{"uncordon", "Mark node as schedulable"},
			{"drain", "Drain node in preparation for maintenance"},
			{"taint", "Update the taints on one or more nodes"},
		}},
		{"Troubleshooting and Debugging Commands", []verb{
			{"describe", "Show details of a specific resource or group of resources"},
			{"logs", "Print the logs for a container in a pod"},
			{"attach", "Attach to a running container"},
			{"exec", "Execute a command in a container"},
			{"port-forward", "Forward one or more local ports to a pod"},
			{"proxy", "Run a proxy to the Kubernetes API server"},
			{"cp", "Copy files and directories to and from containers"},
			{"auth", "Inspect authorization"},
			{"debug", "Create debugging sessions for troubleshooting workloads and nodes"},
			{"events", "List events"},
		}},
		{"Advanced Commands", []verb{
			{"diff", "Diff the live version against a would-be applied version"},
			{"apply", "Apply a configuration to a resource by file name or stdin"},
			{"patch", "Update fields of a resource"},
			{"replace", "Replace a resource by file name or stdin"},
			{"wait", "Wait for a specific condition on one or many resources"},
			{"kustomize", "Build a kustomization target from a directory or URL"},
		}},
		{"Settings Commands", []verb{
			{"label", "Update the labels on a resource"},
			{"annotate", "Update the annotations on a resource"},
		}},
		{"Other Commands", []verb{
			{"api-resources", "Print the supported API resources on the server"},
			{"api-versions", "Print the supported API versions on the server, in the form of \"group/version\""},
			{"config", "Modify kubeconfig files"},
			{"kuberc", "Manage kuberc configuration files"},
			{"options", "Print the list of flags inherited by all commands"},
			{"plugin", "Provides utilities for interacting with plugins"},
		}},
	}
}

// kubectlCommands are kubectl's verbs as commands of the app, with the parsing of
// their flags left to kubectl, and completion, which knows all commands. Of
// kubectl's own only version is missing: ours says more.
func kubectlCommands(e *env) []*cli.Command {
	var all []*cli.Command
	for _, group := range verbGroups() {
		for _, v := range group.verbs {
			all = append(all, &cli.Command{
				Name:            v.name,
				Usage:           v.usage,
				Category:        categoryPrefix + group.title,
				SkipFlagParsing: true,
				HideHelp:        true, // kubectl has its own
				Action:          func(c *cli.Context) error { return e.runKubectl(c, append([]string{v.name}, c.Args().Slice()...)) },
			})
		}
	}
	all = append(all, completionCommand(e))
	return append(all, completeCommands(e)...)
}

const (
	// instanceCategory is the heading of our own commands.
	instanceCategory = "Instance"
	// categoryPrefix puts kubectl's headings after it: urfave/cli sorts them.
	categoryPrefix = "kubectl: "
)

// ownVerbs are commands of ours that take kubectl's flags.
var ownVerbs = []string{whyName, interceptName, dashboardName}

// isVerb tells whether a command is kubectl's, or ours with kubectl's flags.
func isVerb(name string) bool {
	if slices.Contains(ownVerbs, name) {
		return true
	}
	for _, group := range verbGroups() {
		for _, v := range group.verbs {
			if v.name == name {
				return true
			}
		}
	}
	return false
}
