package apiserver

import (
	"fmt"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/features"
)

// enableFeatures turns on what upstream still has off and the node agent does: the API
// would drop those fields without a word. The gates are the process's, as upstream has
// them; setting them again changes nothing.
// https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/
func enableFeatures() error {
	wanted := map[string]bool{string(features.ContainerStopSignals): true} // lifecycle.stopSignal
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(wanted); err != nil {
		return fmt.Errorf("apiserver: enable %v: %w", wanted, err)
	}
	return nil
}
