package pods

import (
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// nodesDir has the directories of the nodes that were added.
const nodesDir = "nodes"

// NodeRoot is the directory of a node's agent in that of its instance; node is empty for the one that the instance began with.
func NodeRoot(instanceDir, node string) string {
	if node == "" {
		return instanceDir
	}
	return filepath.Join(instanceDir, nodesDir, node)
}

// NodeRoots are those of all nodes that have one, the first one's among them.
func NodeRoots(instanceDir string) []string {
	added, _ := filepath.Glob(filepath.Join(instanceDir, nodesDir, "*")) // the pattern is good
	return append([]string{instanceDir}, added...)
}

// Dirs says where what is the Pods' lies on this machine, as on a kubelet's node.
type Dirs struct {
	// Root is the agent's directory.
	Root string
}

// All has a directory for each Pod, named by its UID.
func (d Dirs) All() string { return filepath.Join(d.Root, "pods") }

// Pod is the directory of all that is a Pod's.
func (d Dirs) Pod(uid types.UID) string { return filepath.Join(d.All(), string(uid)) }

// Volumes has the volumes that were made for a Pod.
func (d Dirs) Volumes(uid types.UID) string { return filepath.Join(d.Pod(uid), "volumes") }

// Volume is where a volume lies on the host, as on a kubelet's node. Those behind claims lie
// where their PersistentVolumes say.
func (d Dirs) Volume(uid types.UID, v v1.Volume) string {
	plugin := "kubernetes.io~empty-dir"
	switch {
	case v.HostPath != nil:
		return v.HostPath.Path
	case v.Image != nil:
		plugin = "kubernetes.io~image"
	case v.ConfigMap != nil:
		plugin = "kubernetes.io~configmap"
	case v.Secret != nil:
		plugin = "kubernetes.io~secret"
	case v.DownwardAPI != nil:
		plugin = "kubernetes.io~downward-api"
	case v.Projected != nil:
		plugin = "kubernetes.io~projected"
	}
	return filepath.Join(d.Volumes(uid), plugin, v.Name)
}
