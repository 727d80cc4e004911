package orchestrator_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// killer is a connection to the API that breaks for good at one of its writes, as if the process had been killed: just
// before the write reaches the server, or just before the answer comes back. Events are no writes: nobody acts on them.
type killer struct {
	mu   sync.Mutex // guards what follows
	left int        // writes until it breaks; negative: it does not break any more
	lost bool       // the write that it breaks at does not reach the server
	dead bool
}

var errKilled = errors.New("killed")

// killable is one of the loops' connections, which all break at once.
type killable struct {
	http.RoundTripper
	*killer
}

func (k killable) RoundTrip(r *http.Request) (*http.Response, error) {
	write := r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/events")
	k.mu.Lock()
	if k.dead {
		k.mu.Unlock()
		return nil, errKilled
	}
	now := write && k.left == 0
	if write && k.left >= 0 {
		k.left--
	}
	k.dead = now
	k.mu.Unlock()
	if !now {
		return k.RoundTripper.RoundTrip(r)
	}
	if !k.lost {
		if answer, err := k.RoundTripper.RoundTrip(r); err == nil {
			_ = answer.Body.Close()
		}
	}
	return nil, errKilled
}

// arm makes it break at a write from now on.
func (k *killer) arm(write int, lost bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.lost, k.dead = write, lost, false
}

func (k *killer) broken() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// disarm tells whether it had broken.
func (k *killer) disarm() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left = -1
	return k.dead
}

// connect is for cluster.connect.
func (k *killer) connect(config *rest.Config) {
	config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return killable{inner, k} })
}

// revive is for a new process.
func (k *killer) revive() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead = false
}

// killAtEachWrite runs prepare and change in a namespace of its own for each write that follows change, kills the
// orchestrator at that write, and restarts everything over the same store. done returns nil at the end that is wanted.
func killAtEachWrite(t *testing.T, prepare, change func(c *cluster, ns string), done func(c *cluster, ns string) error) {
	for name, lost := range map[string]bool{"the write is lost": true, "the answer is lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &killer{left: -1}
			c := newCluster(t, k.connect)
			for write := 0; ; write++ {
				ns := c.namespace(fmt.Sprintf("kill-%d", write))
				prepare(c, ns)
				k.arm(write, lost)
				change(c, ns)
				eventually(t, func() error {
					if k.broken() {
						return nil
					}
					return done(c, ns)
				})
				if !k.disarm() {
					t.Logf("%d writes", write)
					return
				}
				c.end()
				k.revive()
				c.start()
				eventually(t, func() error { return done(c, ns) })
			}
		})
	}
}

func TestStatefulSetUpdateEndsTheSameWhereverItIsKilled(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"app": "db"}
	prepare := func(c *cluster, ns string) {
		_, err := c.client.AppsV1().StatefulSets(ns).Create(t.Context(), &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "db"},
			Spec: appsv1.StatefulSetSpec{
				Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels, "db:1"),
				VolumeClaimTemplates: []corev1.PersistentVolumeClaim{newClaim("data", "standard")},
			},
		}, metav1.CreateOptions{})
		fatal(t, err)
		eventually(t, func() error { return statefulSetRuns(c, ns, "db:1") })
	}
	change := func(c *cluster, ns string) {
		_, err := c.client.AppsV1().StatefulSets(ns).Patch(t.Context(), "db", types.StrategicMergePatchType,
			[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"db:2"}]}}}}`), metav1.PatchOptions{})
		fatal(t, err)
	}
	killAtEachWrite(t, prepare, change, func(c *cluster, ns string) error { return statefulSetRuns(c, ns, "db:2") })
}

// statefulSetRuns says what is missing to two ready pods of an image, each with a claim of its own.
func statefulSetRuns(c *cluster, ns, image string) error {
	set, err := c.client.AppsV1().StatefulSets(ns).Get(c.t.Context(), "db", metav1.GetOptions{})
	if err != nil {
		return err
	}
	s := set.Status
	if s.ObservedGeneration != set.Generation || s.ReadyReplicas != 2 || s.UpdatedReplicas != 2 || s.CurrentRevision != s.UpdateRevision {
		return fmt.Errorf("status %+v", s)
	}
	pods, err := c.client.CoreV1().Pods(ns).List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	claims, err := c.client.CoreV1().PersistentVolumeClaims(ns).List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(pods.Items) != 2 || len(claims.Items) != 2 {
		return fmt.Errorf("%d pods, %d claims", len(pods.Items), len(claims.Items))
	}
	for _, pod := range pods.Items {
		if got := pod.Spec.Containers[0].Image; got != image {
			return fmt.Errorf("%s runs %s", pod.Name, got)
		}
	}
	return nil
}

func TestJobEndsTheSameWhereverItIsKilled(t *testing.T) {
	t.Parallel()
	change := func(c *cluster, ns string) {
		_, err := c.client.BatchV1().Jobs(ns).Create(t.Context(), &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "sums"},
			Spec: batchv1.JobSpec{
				Completions: new(int32(3)), Parallelism: new(int32(2)), CompletionMode: new(batchv1.IndexedCompletion),
				Template: exiting("0"),
			},
		}, metav1.CreateOptions{})
		fatal(t, err)
	}
	killAtEachWrite(t, func(*cluster, string) {}, change, func(c *cluster, ns string) error {
		job, err := c.client.BatchV1().Jobs(ns).Get(t.Context(), "sums", metav1.GetOptions{})
		if err != nil {
			return err
		}
		complete := slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue
		})
		if s := job.Status; !complete || s.Succeeded != 3 || s.Failed != 0 || s.CompletedIndexes != "0-2" {
			return fmt.Errorf("status %+v", s)
		}
		pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods.Items) != 3 {
			return fmt.Errorf("%d pods for 3 indexes", len(pods.Items))
		}
		return nil
	})
}

// exiting is a template of pods that end at once, with this exit code.
func exiting(code string) corev1.PodTemplateSpec {
	pod := template(nil, "sums:1")
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Containers[0].Command, pod.Spec.Containers[0].Args = []string{"exit"}, []string{code}
	return pod
}
