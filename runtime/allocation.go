package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"weak"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
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

// allocations are the grants of this node's Pods. A Pod that has one was admitted, and is
// never rejected again.
type allocations struct {
	mu       sync.Mutex // guards what follows
	grants   map[types.UID]*holding
	deferred map[types.UID]pods.Ref // Pods whose resize waits for others to make room
}

func newAllocations() *allocations {
	return &allocations{grants: map[types.UID]*holding{}, deferred: map[types.UID]pods.Ref{}}
}

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

// recall fills in the grants of an earlier life of the agent. A Pod that ran without a
// file is of a version that wrote none.
func (a *Agent) recall() {
	a.allocations.mu.Lock()
	defer a.allocations.mu.Unlock()
	for _, pod := range a.nodesPods() {
		g, err := a.readGrant(pod.UID)
		if err != nil {
			a.log.Warn("what a pod was granted cannot be read; it gets what it declares", "pod", pods.RefOf(pod), "error", err)
		}
		if g == nil && (err != nil || hasRun(pod)) {
			declared := grantOf(pod)
			g = &declared
		}
		if g != nil {
			a.allocations.grants[pod.UID] = &holding{grant: *g}
		}
	}
}

// hasRun tells that the Pod was admitted once, by its status.
func hasRun(pod *v1.Pod) bool {
	for _, list := range [][]v1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.ContainerID != "" {
				return true
			}
		}
	}
	return pod.Status.Phase == v1.PodRunning
}

// nodesPods are the Pods of this node that are not over.
func (a *Agent) nodesPods() []*v1.Pod {
	return slices.DeleteFunc(a.ownPods(), func(pod *v1.Pod) bool { return pods.IsFinal(pod.Status.Phase) })
}

// readGrant returns nil if there is none.
func (a *Agent) readGrant(uid types.UID) (*grant, error) {
	content, err := os.ReadFile(filepath.Join(a.dirs.Pod(uid), grantFile))
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

// keep writes down what a Pod was granted, for the next life of the agent.
func (a *Agent) keep(uid types.UID, g grant) error {
	content, err := json.Marshal(g)
	if err != nil {
		return err
	}
	dir := a.dirs.Pod(uid)
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

// admittedPod is a Pod that holds a part of the node.
type admittedPod struct {
	*v1.Pod
	requests v1.ResourceList
}

// admittedPods are the Pods beside this one that hold a part of the node. The caller holds the lock.
func (a *Agent) admittedPods(uid types.UID) (out []admittedPod) {
	for _, pod := range a.nodesPods() {
		if h, ok := a.allocations.grants[pod.UID]; ok && pod.UID != uid {
			out = append(out, admittedPod{pod, h.requestsOf(pod)})
		}
	}
	return out
}

// release forgets a Pod that is gone, and lets those who wait for room try again.
func (a *Agent) release(uid types.UID) {
	a.allocations.mu.Lock()
	delete(a.allocations.grants, uid)
	delete(a.allocations.deferred, uid)
	a.allocations.mu.Unlock()
	a.evictions.mu.Lock()
	delete(a.evictions.due, uid)
	a.evictions.mu.Unlock()
	a.enqueueDeferred()
}

// enqueueDeferred has the resizes looked at that wait for room.
func (a *Agent) enqueueDeferred() {
	a.allocations.mu.Lock()
	waiting := maps.Clone(a.allocations.deferred)
	a.allocations.mu.Unlock()
	for _, ref := range waiting {
		a.workers.enqueue(ref)
	}
}
