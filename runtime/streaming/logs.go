package streaming

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // the conversion of queries to PodLogOptions
	"k8s.io/kubernetes/pkg/apis/core/v1/validation"
)

// serveLogs answers with a container's log. What is wrong with the request, or with
// the container, is said in a kubelet's words with its status codes.
func (s *Server) serveLogs(w http.ResponseWriter, r *http.Request) {
	opts, status, err := logOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	name, container := r.PathValue("pod"), r.PathValue("container")
	pod, ok := s.pods.Pod(r.PathValue("namespace"), name)
	if !ok {
		http.Error(w, fmt.Sprintf("pod %q does not exist", name), http.StatusNotFound)
		return
	}
	if !hasContainer(pod, container) {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", container, name), http.StatusNotFound)
		return
	}
	id, err := loggedContainer(pod, container, opts.Previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	log, err := s.engine.Logs(r.Context(), id, dockerLogOptions(opts, time.Now()))
	if docker.IsNotFound(err) {
		err = fmt.Errorf("unable to retrieve container logs for docker://%s", id)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer log.Close()
	out, errs := s.sendLog(w, r, log, opts)
	if whole(opts) {
		s.shown(id, out, errs)
	}
}

// whole tells whether the answer was all that the container has written so far.
func whole(o *corev1.PodLogOptions) bool {
	return !o.Follow && !o.Timestamps && o.Stream == nil && o.TailLines == nil && o.LimitBytes == nil &&
		o.SinceSeconds == nil && o.SinceTime == nil
}

// sendLog sends the log as it comes, to the end of the container for one who follows. If
// the log breaks off so does the connection: the end of the answer would look like the end
// of the log. It returns how many bytes of each stream it sent.
func (s *Server) sendLog(w http.ResponseWriter, r *http.Request, log docker.LogStream, opts *corev1.PodLogOptions) (stdout, stderr int64) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // a follower learns at once that it follows
	out := &logWriter{w: w, limit: opts.LimitBytes}
	if opts.Follow {
		out.flush = http.NewResponseController(w).Flush
	}
	outCount, errCount := &countWriter{Writer: out}, &countWriter{Writer: out}
	err := log.Copy(r.Context(), outCount, errCount)
	if err == nil || errors.Is(err, errLimitReached) {
		return outCount.n, errCount.n
	}
	if r.Context().Err() == nil {
		s.log.Warn("a container's log breaks off", "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}

// logOptions reads and checks the query, which is one of v1.PodLogOptions.
func logOptions(query url.Values) (_ *corev1.PodLogOptions, status int, _ error) {
	opts := &corev1.PodLogOptions{}
	if err := legacyscheme.ParameterCodec.DecodeParameters(query, corev1.SchemeGroupVersion, opts); err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("unable to decode query: %w", err)
	}
	if errs := validation.ValidatePodLogOptions(opts); len(errs) > 0 {
		return nil, http.StatusUnprocessableEntity, fmt.Errorf("invalid request: %w", errs.ToAggregate())
	}
	return opts, http.StatusOK, nil
}

// dockerLogOptions asks Docker for what a PodLogOptions wants of it.
func dockerLogOptions(opts *corev1.PodLogOptions, now time.Time) docker.LogOptions {
	stream := corev1.LogStreamAll
	if opts.Stream != nil {
		stream = *opts.Stream
	}
	out := docker.LogOptions{
		Stdout: stream != corev1.LogStreamStderr,
		Stderr: stream != corev1.LogStreamStdout,
		Follow: opts.Follow, Timestamps: opts.Timestamps, Tail: opts.TailLines,
	}
	switch {
	case opts.SinceSeconds != nil:
		out.Since = now.Add(-time.Duration(*opts.SinceSeconds) * time.Second)
	case opts.SinceTime != nil:
		out.Since = opts.SinceTime.Time
	}
	return out
}

func hasContainer(pod *corev1.Pod, name string) bool {
	found := false
	podutil.VisitContainers(&pod.Spec, podutil.AllContainers, func(c *corev1.Container, _ podutil.ContainerType) bool {
		found = c.Name == name
		return !found
	})
	return found
}

// loggedContainer chooses whose log is meant, from the status that the user sees
// too: the running container's, else that of the one that ended last. The previous
// one is the one that status calls so. Returned is Docker's ID.
func loggedContainer(pod *corev1.Pod, name string, previous bool) (string, error) {
	status, ok := containerStatus(pod, name)
	if !ok {
		return "", fmt.Errorf("container %q in pod %q is not available", name, pod.Name)
	}
	state, last := status.State, dockerID(status.LastTerminationState.Terminated)
	switch {
	case previous && last == "":
		return "", fmt.Errorf("previous terminated container %q in pod %q not found", name, pod.Name)
	case previous:
		return last, nil
	case state.Running != nil:
		return bareID(status.ContainerID), nil
	case dockerID(state.Terminated) != "":
		return dockerID(state.Terminated), nil
	case last != "":
		return last, nil
	case state.Terminated != nil || status.LastTerminationState.Terminated != nil:
		return "", fmt.Errorf("container %q in pod %q is terminated", name, pod.Name)
	}
	return "", fmt.Errorf("container %q in pod %q is waiting to start%s", name, pod.Name, waitingReason(state.Waiting))
}

func waitingReason(waiting *corev1.ContainerStateWaiting) string {
	switch {
	case waiting == nil:
		return " - no logs yet"
	case waiting.Reason == "ErrImagePull":
		return ": image can't be pulled"
	case waiting.Reason == "ImagePullBackOff":
		return ": trying and failing to pull image"
	}
	return ": " + waiting.Reason
}

func containerStatus(pod *corev1.Pod, name string) (corev1.ContainerStatus, bool) {
	for _, statuses := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		if status, ok := podutil.GetContainerStatus(statuses, name); ok {
			return status, true
		}
	}
	return corev1.ContainerStatus{}, false
}

func dockerID(t *corev1.ContainerStateTerminated) string {
	if t == nil {
		return ""
	}
	return bareID(t.ContainerID)
}

// bareID is the ID without the runtime's name before it.
func bareID(id string) string { return strings.TrimPrefix(id, "docker://") }

// errLimitReached is the good end of a log that was asked for up to limitBytes.
var errLimitReached = errors.New("limitBytes reached")

// logWriter sends what it is given at once, up to a limit.
type logWriter struct {
	w     io.Writer
	flush func() error // nil: the end of the answer is soon enough
	limit *int64       // bytes that may still be written; nil: any number
}

func (l *logWriter) Write(p []byte) (int, error) {
	rest := p
	if l.limit != nil && int64(len(rest)) > *l.limit {
		rest = rest[:*l.limit]
	}
	n, err := l.w.Write(rest)
	if err == nil && l.flush != nil {
		err = l.flush()
	}
	if l.limit != nil {
		*l.limit -= int64(n)
		if err == nil && *l.limit == 0 {
			err = errLimitReached
		}
	}
	return n, err
}
