package limits

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"weak"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	resourcehelper "k8s.io/component-helpers/resource"
)

// grant is what a Pod may use of the node: what it declared when it was admitted, or when
// its last resize was accepted. It lies in a file beside the Pod's volumes.
type grant struct {
	Pod        *v1.ResourceRequirements           `json:"pod,omitempty"`
	Containers map[string]v1.ResourceRequirements `json:"containers"`
}

// grantFile is the file's name in the Pod's directory.
const grantFile = "resources.json"

// grantOf is what the Pod declares.
func grantOf(pod *v1.Pod) grant {
	g := grant{Pod: pod.Spec.Resources, Containers: map[string]v1.ResourceRequirements{}}
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			g.Containers[c.Name] = c.Resources
		}
	}
	return g
}

func (g grant) equal(other grant) bool { return equality.Semantic.DeepEqual(g, other) }

// apply returns the Pod with what it was granted in place of what it declares now. It
// copies the Pod only if the two differ.
func (g grant) apply(pod *v1.Pod) *v1.Pod {
	if g.equal(grantOf(pod)) {
		return pod
	}
	pod = pod.DeepCopy()
	pod.Spec.Resources = g.Pod
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for n := range list {
			if granted, ok := g.Containers[list[n].Name]; ok {
				list[n].Resources = granted
			}
		}
	}
	return pod
}

// keep writes it to a Pod's directory, for the next life of the agent.
func (g grant) keep(dir string) error {
	content, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	// A crash must leave the old one or the new one, not half of one.
	next := filepath.Join(dir, grantFile+".new")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, grantFile))
}

// readGrant reads it from a Pod's directory; nil if there is none.
func readGrant(dir string) (*grant, error) {
	content, err := os.ReadFile(filepath.Join(dir, grantFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var g grant
	if err := json.Unmarshal(content, &g); err != nil {
		return nil, fmt.Errorf("read %s: %w", grantFile, err)
	}
	return &g, nil
}

// holding is what a Pod was granted, and what that makes of the node's resources.
type holding struct {
	grant
	// of is the version of the Pod that requests were computed from. Nobody else may need it any more.
	of       weak.Pointer[v1.Pod]
	requests v1.ResourceList
}

// requestsOf are the requests of a Pod with what it was granted. They are computed once for each version of it: whoever
// comes to a node that is full of Pods is compared with all of them.
func (h *holding) requestsOf(pod *v1.Pod) v1.ResourceList {
	if h.requests == nil || h.of.Value() != pod {
		h.of = weak.Make(pod)
		h.requests = resourcehelper.PodRequests(h.apply(pod), resourcehelper.PodResourcesOptions{UseStatusResources: true})
	}
	return h.requests
}
