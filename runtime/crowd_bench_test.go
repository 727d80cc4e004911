package runtime

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/store"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What many Pods cost. scripts/bench -only=crowd,crowds,crowdchange,crowdmemory reads what these benchmarks report; by hand:
//
//	go test -run='^$' -bench=Crowd -benchtime=1x -count=3 ./runtime

// crowdDeploymentPods is how many Pods each Deployment has of a crowd that is only there.
const crowdDeploymentPods = 100

// BenchmarkCrowdReady is the time from Deployments to the last of their Pods being Ready.
func BenchmarkCrowdReady(b *testing.B) {
	for _, size := range []struct{ deployments, pods int }{{1, 1000}, {5, 200}} {
		b.Run(fmt.Sprintf("%dx%d", size.deployments, size.pods), func(b *testing.B) {
			var took, busy time.Duration
			for range b.N {
				c := newCrowd(b, store.Options{})
				began, worked := time.Now(), processorTime(b)
				c.deploy(size.deployments, size.pods)
				took += time.Since(began)
				busy += processorTime(b) - worked
				c.end()
			}
			b.ReportMetric(took.Seconds()/float64(b.N), "s-to-ready")
			b.ReportMetric(busy.Seconds()/float64(b.N), "cpu-s")
		})
	}
}

// crowdChanges is how many Pods change, one after the other.
const crowdChanges = 100

// BenchmarkCrowdChange is the processor time of all this process for one Pod whose container ends and is started again,
// with so many Pods present. The garbage collector is left out: its work is proportional to what is allocated, however
// much there is, but comes in few large pieces where there is much.
func BenchmarkCrowdChange(b *testing.B) {
	for _, pods := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(pods), func(b *testing.B) {
			var busy time.Duration
			for range b.N {
				c := newCrowd(b, store.Options{})
				c.deploy(pods/crowdDeploymentPods, crowdDeploymentPods)
				c.quiet()
				busy += c.restartEach(crowdChanges)
				c.end()
			}
			b.ReportMetric(float64(busy.Microseconds())/1000/float64(b.N*crowdChanges), "cpu-ms/change")
		})
	}
}

// crowdMemoryPods are measured, beside others that came before, since what the first ones fill is bounded. So is the store's
// history, which is empty five minutes after the last change; here it is sooner.
const (
	crowdMemoryPods    = 1000
	crowdMemoryBefore  = 500
	crowdMemoryHistory = 5 * time.Second
)

// BenchmarkCrowdMemory is what a Pod takes of heap and stacks, all rooms together, beyond the objects themselves: one
// copy in memory of the Pod and its events. The fake engine's share, which is Docker's, is taken off.
func BenchmarkCrowdMemory(b *testing.B) {
	var beyond, objects, encoded int
	for range b.N {
		c := newCrowd(b, store.Options{HistoryAge: crowdMemoryHistory})
		first := c.weigh(crowdMemoryBefore)
		second := c.weigh(crowdMemoryPods)
		c.end()
		engine := c.engine
		c = nil // it knows all that ended
		docker := engineBytes(engine) * crowdMemoryPods / (crowdMemoryBefore + crowdMemoryPods)
		beyond += second.all - first.all - (second.objects - first.objects) - docker
		objects += second.objects - first.objects
		encoded += second.encoded - first.encoded
	}
	perPod := func(bytes int, unit string) { b.ReportMetric(float64(bytes)/1000/float64(b.N*crowdMemoryPods), unit) }
	perPod(beyond, "KB/pod")
	perPod(objects, "object-KB/pod")
	perPod(encoded, "encoded-KB/pod")
}

// crowdWeight is what there is, in bytes.
type crowdWeight struct{ all, objects, encoded int }

// weigh makes so many Pods more, and weighs what there is then.
func (c *crowd) weigh(more int) (w crowdWeight) {
	c.b.Helper()
	c.deploy(more/crowdDeploymentPods, crowdDeploymentPods)
	c.quiet()
	time.Sleep(2 * crowdMemoryHistory) // its age, and the interval at which the store looks
	w.all = liveMemory()
	pods, err := c.client.CoreV1().Pods("").List(c.b.Context(), metav1.ListOptions{})
	c.must(err)
	events, err := c.client.CoreV1().Events("").List(c.b.Context(), metav1.ListOptions{})
	c.must(err)
	with := liveMemory()
	w.encoded = pods.Size() + events.Size()
	pods, events = nil, nil
	w.objects = with - liveMemory()
	return w
}

// deploy makes Deployments and waits until all their Pods are Ready.
func (c *crowd) deploy(deployments, pods int) {
	c.b.Helper()
	before, _ := c.ready()
	var group errgroup.Group
	for range deployments {
		c.deployed++
		d := crowdDeployment(fmt.Sprintf("crowd-%d", c.deployed), int32(pods))
		group.Go(func() error {
			_, err := c.client.AppsV1().Deployments(v1.NamespaceDefault).Create(c.b.Context(), d, metav1.CreateOptions{})
			return err
		})
	}
	c.must(group.Wait())
	c.await("all pods are Ready", func(s *census) bool { return len(s.ready) == before+deployments*pods })
}

func (c *crowd) ready() (count int, uids []types.UID) {
	c.census.look(func(s *census) bool {
		for uid := range s.ready {
			uids = append(uids, uid)
		}
		return true
	})
	return len(uids), uids
}

func crowdDeployment(name string, pods int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	app := app("app")
	app.Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse("10m"), v1.ResourceMemory: resource.MustParse("16Mi")}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &pods, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1.PodSpec{Containers: []v1.Container{app}}},
		},
	}
}

// restartEach ends a container of so many Pods, and waits each time until the Pod is Ready again. It returns the processor time of that and of what it entails.
func (c *crowd) restartEach(changes int) time.Duration {
	c.b.Helper()
	running := c.engine.appNames()
	goruntime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	began := processorTime(c.b)
	for _, at := range running[:changes] {
		c.engine.exit(at.name, 0)
		c.await(at.name+" was restarted", func(s *census) bool { return s.restarts[at.uid] == 1 && s.ready[at.uid] })
	}
	c.quiet()
	return processorTime(c.b) - began
}

type crowdContainer struct {
	name string
	uid  types.UID
}

// appNames are the containers that are no sandboxes.
func (f *fakeEngine) appNames() (out []crowdContainer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.Labels[pods.LabelType] != pods.TypeSandbox && c.Running() {
			out = append(out, crowdContainer{c.Name, types.UID(c.Labels[pods.LabelPodUID])})
		}
	}
	return out
}

// quiet waits until events and the last statuses are written: until this process has nothing to do.
func (c *crowd) quiet() {
	c.b.Helper()
	const period, little = time.Second, 20 * time.Millisecond
	for range int(crowdPatience / period) {
		before := processorTime(c.b)
		time.Sleep(period) // measures a rate
		if processorTime(c.b)-before < little {
			return
		}
	}
	c.b.Fatalf("this process is still busy after %v", crowdPatience)
}

// processorTime is that of this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// liveMemory is what is in use of heap and stacks.
func liveMemory() int {
	goruntime.GC()
	goruntime.GC() // the first one moves what pools hold aside, the second frees it
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// engineBytes is what an engine takes that nobody uses any more.
func engineBytes(e *fakeEngine) int {
	e.watchers, e.imageCame, e.netGone = nil, nil, nil // who was told is gone
	with := liveMemory()
	goruntime.KeepAlive(e)
	return with - liveMemory()
}
