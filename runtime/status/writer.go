package status

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
)

const (
	// writerCount is how many statuses are written at once.
	writerCount = 4
	// WritePause collects the small steps of a Pod into one write. What others wait for
	// is not held back. A kubelet too looks for them once a second only.
	WritePause = time.Second
	// readyPause is for a Pod that runs and is not ready: mostly it is, a moment later.
	readyPause = 100 * time.Millisecond
	// writeTimeout bounds one request to the API server.
	writeTimeout = 30 * time.Second
)

// Writer writes the Pods' statuses to the API and deletes Pods that have ended. Only
// the latest status of a Pod is written, and it is written until the API has it.
type Writer struct {
	client kubernetes.Interface
	lister func(pods.Ref) *v1.Pod // the informer's view
	log    *slog.Logger
	step   func(string)
	queue  workqueue.TypedRateLimitingInterface[types.UID]

	// Pause collects small steps into one write; WritePause unless a test has less patience. Set it before Run.
	Pause time.Duration
	// Policies tells whether there are NetworkPolicies, whose rules wait for a Pod's address; set it before Run.
	Policies func() bool

	mu   sync.Mutex // guards what follows
	pods map[types.UID]*reported
}

// reported is what is to be said of a Pod, and what was said.
type reported struct {
	ref      pods.Ref
	want     v1.PodStatus
	remove   bool    // delete the object once the status is written
	written  *v1.Pod // the API's last answer, while the informer has not seen it
	upToDate bool    // the API has want
	wake     func()  // called once, when it has
}

// NewWriter makes the Writer of an agent. Lister finds a Pod as the informer has it, and step is called after each write
// or deletion.
func NewWriter(client kubernetes.Interface, lister func(pods.Ref) *v1.Pod, log *slog.Logger, step func(string)) *Writer {
	return &Writer{
		client: client, lister: lister, log: log, step: step, Pause: WritePause, Policies: func() bool { return false },
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](100*time.Millisecond, 10*time.Second)),
		pods:  map[types.UID]*reported{},
	}
}

// Run writes until ctx ends.
func (s *Writer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range writerCount {
		wg.Go(func() {
			for s.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	s.queue.ShutDown()
	wg.Wait()
	return nil
}

// Set has a status written.
func (s *Writer) Set(ref pods.Ref, want v1.PodStatus) {
	s.mu.Lock()
	r := s.pods[ref.UID]
	if r == nil {
		r = &reported{ref: ref}
		s.pods[ref.UID] = r
	}
	before := r.want
	same := equality.Semantic.DeepEqual(before, want)
	if !same {
		r.want, r.upToDate = want, false
	}
	s.mu.Unlock()
	if same {
		return
	}
	delay := s.delay(before, want)
	// Rules wait for its address: those of its ports of the host should stand when it is ready, those of policies before
	// it has anything to say.
	if pod := s.lister(ref); before.PodIP != want.PodIP && pod != nil && (len(pods.HostPorts(pod)) > 0 || s.Policies()) {
		delay = 0
	}
	s.queue.AddAfter(ref.UID, delay)
}

// SetAddress has the address of a Pod written whose containers are about to start, if there are policies. Until it is
// known, such a Pod may talk to nobody.
func (s *Writer) SetAddress(pod *v1.Pod, ips pods.IPs) {
	ref := pods.RefOf(pod)
	status, ok := s.Latest(ref.UID)
	if !ok || len(ips) == 0 || status.PodIP == ips.First() || pod.Spec.HostNetwork || pods.IsFinal(status.Phase) || !s.Policies() {
		return
	}
	status = *status.DeepCopy()
	status.PodIP, status.PodIPs = ips.First(), ips.PodIPs()
	s.Set(ref, status)
}

// Latest is the status that was set last, whether the API has it yet or not.
func (s *Writer) Latest(uid types.UID) (v1.PodStatus, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.pods[uid]
	if r == nil {
		return v1.PodStatus{}, false
	}
	return r.want, true
}

// Flush tells whether the API has the Pod's last status. If not it is written now, and
// wake is called when that is done.
func (s *Writer) Flush(uid types.UID, wake func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.pods[uid]
	if r == nil || r.upToDate {
		return true
	}
	r.wake = wake
	s.queue.Add(uid)
	return false
}

// Remove has the object deleted after its last status is written.
func (s *Writer) Remove(ref pods.Ref) {
	s.mu.Lock()
	r := s.pods[ref.UID]
	if r != nil {
		r.remove = true
	}
	s.mu.Unlock()
	if r != nil {
		s.queue.Add(ref.UID)
	}
}

// Forget drops a Pod that the API does not know any more.
func (s *Writer) Forget(uid types.UID) {
	s.mu.Lock()
	r := s.pods[uid]
	delete(s.pods, uid)
	s.mu.Unlock()
	s.queue.Forget(uid)
	if r != nil && r.wake != nil {
		r.wake()
	}
}

// delay is how long a change may wait for others to be written with it: not at all if
// somebody waits for it.
func (s *Writer) delay(before, after v1.PodStatus) time.Duration {
	switch {
	case len(before.ContainerStatuses) == 0, IsReady(before) != IsReady(after),
		pods.IsFinal(before.Phase) != pods.IsFinal(after.Phase),
		!equality.Semantic.DeepEqual(before.EphemeralContainerStatuses, after.EphemeralContainerStatuses):
		return 0
	case before.Phase != after.Phase:
		return min(readyPause, s.Pause)
	}
	return s.Pause
}

// IsReady tells whether a status says that its Pod may get traffic.
func IsReady(s v1.PodStatus) bool {
	for _, c := range s.Conditions {
		if c.Type == v1.PodReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

func (s *Writer) next(ctx context.Context) bool {
	uid, shutdown := s.queue.Get()
	if shutdown {
		return false
	}
	defer s.queue.Done(uid)
	if err := s.write(ctx, uid); err != nil {
		if ctx.Err() == nil {
			s.log.Warn("a pod's status cannot be written", "uid", uid, "error", err)
		}
		s.queue.AddRateLimited(uid)
		return true
	}
	s.queue.Forget(uid)
	return true
}

// write makes the API's status the wanted one, and deletes the object if it is time.
func (s *Writer) write(ctx context.Context, uid types.UID) error {
	s.mu.Lock()
	r := s.pods[uid]
	if r == nil {
		s.mu.Unlock()
		return nil
	}
	now := *r
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	base := s.base(now)
	if base == nil {
		s.Forget(uid)
		return nil
	}
	answer, err := s.update(ctx, base, now.want)
	if apierrors.IsConflict(err) {
		if base, err = s.read(ctx, now.ref); err == nil {
			answer, err = s.update(ctx, base, now.want)
		}
	}
	if apierrors.IsNotFound(err) || errors.Is(err, errOtherPod) {
		s.Forget(uid)
		return nil
	}
	if apierrors.IsInvalid(err) { // it never will be valid, and a deletion waits for it
		s.log.Error("the API refuses a pod's status", "pod", now.ref, "error", err)
		answer, err = nil, nil
	}
	if err != nil {
		return err
	}
	s.wrote(uid, now.want, answer)
	if !now.remove {
		return nil
	}
	return s.delete(ctx, now.ref)
}

// wrote notes what the API has, and wakes who waits for it. There is no answer if the API refused it for good.
func (s *Writer) wrote(uid types.UID, want v1.PodStatus, answer *v1.Pod) {
	s.mu.Lock()
	r := s.pods[uid]
	if r == nil {
		s.mu.Unlock()
		return
	}
	r.written = answer
	r.upToDate = equality.Semantic.DeepEqual(r.want, want)
	if listed := s.lister(r.ref); listed != nil {
		r.listed(listed)
	}
	wake := r.wake
	if r.upToDate {
		r.wake = nil
	}
	said := r.upToDate
	s.mu.Unlock()
	if said && wake != nil {
		wake()
	}
}

// base is the newest known version of the object: a conflict tells if there is a newer.
func (s *Writer) base(r reported) *v1.Pod {
	listed := s.lister(r.ref)
	if listed == nil || r.written == nil {
		return listed
	}
	if isOlder(listed, r.written) {
		return r.written
	}
	return listed
}

// Listed notes that the informer has a version of the Pod.
func (s *Writer) Listed(pod *v1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.pods[pod.UID]; r != nil {
		r.listed(pod)
	}
}

// listed drops what the informer has as well: the API's last answer, and a status that was written and came back.
func (r *reported) listed(pod *v1.Pod) {
	if r.written == nil || isOlder(pod, r.written) {
		return
	}
	if version := pod.ResourceVersion; r.upToDate && version != "" && version == r.written.ResourceVersion {
		r.want = pod.Status
	}
	r.written = nil
}

// isOlder compares two versions of an object.
func isOlder(a, b metav1.Object) bool {
	n, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	return err == nil && n < 0
}

var errOtherPod = errors.New("another pod has the name")

// read asks the API for a Pod; one that was made again under the name is another Pod.
func (s *Writer) read(ctx context.Context, ref pods.Ref) (*v1.Pod, error) {
	pod, err := s.client.CoreV1().Pods(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err == nil && pod.UID != ref.UID {
		return nil, errOtherPod
	}
	return pod, err
}

// update writes a status unless the API has it. Conditions of others are left alone. The base carries
// its UID and version: the API refuses to write over another Pod, or over what nobody here has seen.
func (s *Writer) update(ctx context.Context, base *v1.Pod, want v1.PodStatus) (*v1.Pod, error) {
	want = *want.DeepCopy()
	want.Conditions = withOthers(want.Conditions, base.Status.Conditions)
	keepOthers(&want, base.Status)
	if equality.Semantic.DeepEqual(base.Status, want) {
		return base, nil
	}
	pod := base.DeepCopy()
	pod.Status = want
	answer, err := s.client.CoreV1().Pods(base.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err == nil {
		s.step("status")
	}
	return answer, err
}

// withOthers replaces the conditions that are not ours with the API's own.
func withOthers(want, base []v1.PodCondition) []v1.PodCondition {
	var out []v1.PodCondition
	for _, c := range want {
		if IsOwn(c.Type) {
			out = append(out, c)
		}
	}
	for _, c := range base {
		if !IsOwn(c.Type) {
			out = append(out, c)
		}
	}
	return out
}

// IsOwn tells of the conditions that this agent writes; all others are other writers'.
func IsOwn(kind v1.PodConditionType) bool {
	switch kind {
	case v1.PodReadyToStartContainers, v1.PodInitialized, v1.PodReady, v1.ContainersReady, v1.PodScheduled, v1.AllContainersRestarting:
		return true
	}
	return isResizeCondition(kind)
}

// keepOthers keeps what other writers own, or what must never change again.
func keepOthers(want *v1.PodStatus, base v1.PodStatus) {
	want.NominatedNodeName = base.NominatedNodeName
	want.ResourceClaimStatuses = base.ResourceClaimStatuses
	if base.StartTime != nil {
		want.StartTime = base.StartTime
	}
}

// delete removes the object for good, if it is still the same Pod.
func (s *Writer) delete(ctx context.Context, ref pods.Ref) error {
	none := int64(0)
	err := s.client.CoreV1().Pods(ref.Namespace).Delete(ctx, ref.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &none, Preconditions: metav1.NewUIDPreconditions(string(ref.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	s.step("deleted")
	return nil
}
