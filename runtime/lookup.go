package runtime

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/kube-lite/kube-lite/runtime/mirror"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/healthz"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Handler is the part of a kubelet's HTTP API that an API server calls for the
// subresources of Pods (see package streaming) and for the figures of the node (see
// stats.Stats.Register), what registerLookups adds, and
//
//	GET /pods     the Pods of the node, as a v1.PodList in JSON
//	GET /healthz  ok
//
// It asks for no credentials: serve it only where none but the API server can reach it.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.streams)
	a.stats.Register(mux)
	mux.HandleFunc("GET /pods", a.servePods)
	a.registerLookups(mux)
	healthz.InstallHandler(mux, healthz.PingHealthz)
	return mux
}

func (a *Agent) servePods(w http.ResponseWriter, _ *http.Request) {
	list := &v1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []v1.Pod{}}
	for _, pod := range a.ownPods() {
		newest := pod.DeepCopy()
		if status, ok := a.statuses.Latest(pod.UID); ok {
			newest.Status = status
		}
		list.Items = append(list.Items, *newest)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // the client is gone if it fails
}

// lookup tells the streams of the Agent's Pods. It implements streaming.Pods.
type lookup struct {
	pods     corelisters.PodLister
	statuses *status.Writer
	mirror   *mirror.Mirror
}

// Pod has the newest status there is: a client may have read it in the API before our own
// informer has.
func (l lookup) Pod(namespace, name string) (*v1.Pod, bool) {
	pod, err := l.pods.Pods(namespace).Get(name)
	if err != nil {
		return nil, false
	}
	if latest, ok := l.statuses.Latest(pod.UID); ok {
		newest := *pod
		newest.Status = latest
		return &newest, true
	}
	return pod, true
}

func (l lookup) Running(namespace, pod string, uid types.UID, container string) (string, bool) {
	id, err := l.containerID(namespace, pod, uid, container)
	if err != nil {
		return "", false
	}
	found, ok := l.mirror.Get(id)
	return id, ok && found.Running()
}

func (l lookup) Sandbox(namespace, pod string, uid types.UID) (string, bool) {
	return l.Running(namespace, pod, uid, pods.SandboxName)
}

// hasOneClient tells of containers that somebody makes to talk to, as `kubectl run -i` and
// `kubectl debug -i` do, and attaches to when he hears that they run.
func hasOneClient(pod *v1.Pod, c *v1.Container) bool {
	return c.Stdin && (c.StdinOnce || pods.Ephemeral(pod, c.Name) != nil || pod.Spec.RestartPolicy == v1.RestartPolicyNever)
}

// containerID finds the Docker container that stands for a Pod's container: the one of
// the latest attempt. An empty uid means whichever Pod of that name exists now. The
// errors are a kubelet's.
func (l lookup) containerID(namespace, pod string, uid types.UID, container string) (string, error) {
	declared, err := l.pods.Pods(namespace).Get(pod)
	if err != nil {
		return "", fmt.Errorf("pod %q not found", pod)
	}
	if uid == "" {
		uid = declared.UID
	}
	id := ""
	for _, i := range l.mirror.Pod(uid) { // oldest first
		if i.ContainerName == container {
			id = i.ID
		}
	}
	if id == "" {
		return "", fmt.Errorf("container %q in pod %q is not available", container, pod)
	}
	return id, nil
}
