package docker

// LabelInstance is on every Docker object of kube-lite; its value is the
// instance's name.
const LabelInstance = "io.kube-lite.instance"

// NetworkName is the name of the instance's bridge network.
func NetworkName(instance string) string { return "kube-lite-" + instance }

// InstanceLabel is the label set that makes an object the instance's own.
func InstanceLabel(instance string) map[string]string {
	return map[string]string{LabelInstance: instance}
}
