package apiserver

import (
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
)

const (
	// kubernetesMinor is the release whose API is served.
	kubernetesMinor = "1.36"
	// KubernetesVersion is the release of the registries that are linked in,
	// as /version and the Node's kubeletVersion tell it. It is in go.mod too.
	KubernetesVersion = "v1.36.3+kube-lite"
)

// served is the effective version of the API, with our own name in it.
// Upstream stamps its version by linker flags, which `go install` cannot set.
type served struct{ compatibility.EffectiveVersion }

func effectiveVersion() compatibility.EffectiveVersion {
	return served{compatibility.NewEffectiveVersionFromString(kubernetesMinor, "", "")}
}

// Info is what /version answers.
func (v served) Info() *apimachineryversion.Info {
	info := v.EffectiveVersion.Info()
	info.GitVersion = KubernetesVersion
	info.GitCommit = ""
	return info
}
