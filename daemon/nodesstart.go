package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a start wants of nodes: how many there are, and their labels.

// NodeLabel is one that a start puts on Nodes.
type NodeLabel struct {
	// Node is the number of the node that is meant, 1 for the one that the instance began with; 0: all.
	Node       int
	Key, Value string
}

// ParseNodeLabel reads KEY=VALUE, or N:KEY=VALUE for the node of that number.
func ParseNodeLabel(text string) (NodeLabel, error) {
	var l NodeLabel
	label := text
	if number, rest, numbered := strings.Cut(text, ":"); numbered {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return l, fmt.Errorf("--node-label %q: use KEY=VALUE, or N:KEY=VALUE for the node number N", text)
		}
		l.Node, label = n, rest
	}
	key, value, ok := strings.Cut(label, "=")
	if !ok {
		return l, fmt.Errorf("--node-label %q: use KEY=VALUE, such as topology.kubernetes.io/zone=a", text)
	}
	l.Key, l.Value = key, value
	if errs := metavalidation.ValidateLabels(map[string]string{key: value}, field.NewPath(key)); len(errs) > 0 {
		return l, fmt.Errorf("--node-label %q: %s", text, errs[0].Detail)
	}
	return l, nil
}

// ValidateNodeName says why a Node of this instance cannot have the name.
func ValidateNodeName(name string) error {
	if len(validation.IsDNS1123Subdomain(name))+len(validation.IsValidLabelValue(name)) > 0 {
		return fmt.Errorf("%q: use at most %d lower case letters, digits, dashes and dots", name, validation.LabelValueMaxLength)
	}
	return nil
}

// FirstNode is the name of the node that the instance began with.
func FirstNode(cfg Config) (string, error) {
	s, found, err := loadSettings(cfg)
	if err == nil && !found {
		err = ErrNoInstance
	}
	return s.NodeName, err
}

// maxNodes is far beyond what a laptop can play.
const maxNodes = 100

func (c Config) checkNodes() error {
	if c.Nodes < 0 || c.Nodes > maxNodes {
		return fmt.Errorf("--nodes %d: use a number from 1 to %d", c.Nodes, maxNodes)
	}
	for _, l := range c.NodeLabels {
		if l.Node > max(1, c.Nodes) {
			return fmt.Errorf("--node-label %d:%s=%s: there is no node %d with --nodes %d", l.Node, l.Key, l.Value, l.Node, max(1, c.Nodes))
		}
	}
	return nil
}

// numbered is the name of the node with this number, from 1 on.
func (d *daemon) numbered(number int) string {
	if number == 1 {
		return d.nodeName
	}
	suffix := fmt.Sprintf("-%d", number)
	base := d.nodeName[:min(len(d.nodeName), validation.LabelValueMaxLength-len(suffix))]
	return strings.TrimRight(base, "-.") + suffix
}

// checkRoom refuses more nodes than the pods' range has ranges for.
func (d *daemon) checkRoom() error {
	if room := d.nodes.ranges.count(); d.cfg.Nodes > room {
		return fmt.Errorf("--nodes %d: the pods' range %s has room for %d: use a wider --pod-cidr", d.cfg.Nodes, d.settings.PodCIDR, room)
	}
	return nil
}

// addNodes makes Nodes until there are as many as the user wants.
func (d *daemon) addNodes(ctx context.Context) error {
	if d.cfg.Nodes == 0 {
		return nil
	}
	list, err := d.server.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: AgentLabel})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var names []string
	for _, node := range list.Items {
		if node.Name != d.nodeName {
			names = append(names, node.Name)
		}
	}
	if have := 1 + len(names); have > d.cfg.Nodes {
		return fmt.Errorf("--nodes %d: this instance has %d nodes: start it without --nodes, and take nodes away with kube-lite node remove NAME",
			d.cfg.Nodes, have)
	}
	for number := 2; 1+len(names) < d.cfg.Nodes; number++ {
		name := d.numbered(number)
		if slices.Contains(names, name) {
			continue
		}
		names = append(names, name)
		node := NewNode(name)
		if _, err := d.server.Client().CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("add the node %s: %w", name, err)
		}
	}
	return nil
}

// NewNode is a Node that adds a node to an instance when it is created there.
func NewNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		AgentLabel: AgentRunning, corev1.LabelHostname: name,
	}}}
}

// waitNodes returns the nodes' names when pods could run on all that are not stopped.
func (d *daemon) waitNodes(ctx context.Context) (names string, err error) {
	if err := d.addNodes(ctx); err != nil {
		return "", err
	}
	tick := time.NewTicker(nodeInterval)
	defer tick.Stop()
	for {
		ready, waits, err := d.readyNodes(ctx)
		if err != nil {
			return "", err
		}
		if len(waits) == 0 {
			return strings.Join(ready, ", "), d.labelNodes(ctx)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the node %s did not become Ready: %w", strings.Join(waits, ", "), ctx.Err())
		case err := <-d.rooms.failed:
			return "", err
		case <-tick.C:
		}
	}
}

// readyNodes are the names of the instance's nodes that are ready or stopped, and of those that are to become it.
func (d *daemon) readyNodes(ctx context.Context) (ready, waits []string, err error) {
	nodes := d.server.Client().CoreV1().Nodes()
	first, err := nodes.Get(ctx, d.nodeName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		waits = append(waits, d.nodeName)
	case err != nil:
		return nil, nil, err
	case isReady(first) || isStopped(first):
		ready = append(ready, d.nodeName)
	default:
		waits = append(waits, d.nodeName)
	}
	added, err := nodes.List(ctx, metav1.ListOptions{LabelSelector: AgentLabel + "=" + AgentRunning})
	if err != nil {
		return nil, nil, err
	}
	for _, node := range added.Items {
		switch {
		case node.Name == d.nodeName || node.DeletionTimestamp != nil || isRefused(&node):
		case isReady(&node):
			ready = append(ready, node.Name)
		default:
			waits = append(waits, node.Name)
		}
	}
	return ready, waits, nil
}

// isRefused tells of a Node that somebody made and that has no room: see nodes.refuse.
func isRefused(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Reason == ReasonNoRange
	})
}

// labelNodes gives the first node its role, which no node agent may do itself, and the nodes the labels that the user wants.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
func (d *daemon) labelNodes(ctx context.Context) error {
	wanted := map[string]map[string]string{d.nodeName: {controlPlaneRole: ""}}
	for _, l := range d.cfg.NodeLabels {
		for number := 1; number <= max(1, d.cfg.Nodes); number++ {
			if name := d.numbered(number); l.Node == 0 || l.Node == number {
				if wanted[name] == nil {
					wanted[name] = map[string]string{}
				}
				wanted[name][l.Key] = l.Value
			}
		}
	}
	nodes := d.server.Client().CoreV1().Nodes()
	for name, labels := range wanted {
		node, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("--node-label: there is no node %s", name)
		}
		if err != nil {
			return err
		}
		if hasLabels(node, labels) {
			continue
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
		if err != nil {
			return err
		}
		if _, err := nodes.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("label the node %s: %w", name, err)
		}
	}
	return nil
}

func hasLabels(node *corev1.Node, labels map[string]string) bool {
	for key, value := range labels {
		if have, ok := node.Labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

// controlPlaneRole is the label that `get nodes` shows as the role.
const controlPlaneRole = "node-role.kubernetes.io/control-plane"

// nodeInterval is short, since the user waits.
const nodeInterval = 10 * time.Millisecond

func isReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
