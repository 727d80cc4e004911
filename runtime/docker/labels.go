package docker

// LabelInstance is on every Docker object of kube-lite; its value is the
// instance's name.
const LabelInstance = "io.kube-lite.instance"

// LabelNode is on the containers of every node but the one that an instance began with; its value is the node's name.
const LabelNode = "io.kube-lite.node"

// NetworkName is the name of the instance's bridge network.
func NetworkName(instance string) string { return "kube-lite-" + instance }

// InstanceLabel is the label set that makes an object the instance's own.
func InstanceLabel(instance string) map[string]string {
	return map[string]string{LabelInstance: instance}
}
