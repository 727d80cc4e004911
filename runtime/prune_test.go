package runtime

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pause"
	"github.com/kube-lite/kube-lite/runtime/pods"
	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// Images, RemoveImage and DiskUsage make the fake a pruneEngine.
func (f *fakeEngine) Images(context.Context) (out []docker.Image, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.images {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b docker.Image) int { return slices.Compare(a.Tags, b.Tags) })
	return out, nil
}

func (f *fakeEngine) RemoveImage(_ context.Context, ref string, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, i := range f.images {
		if i.ID == ref {
			delete(f.images, name)
		}
	}
	return nil
}

func (f *fakeEngine) DiskUsage(context.Context) (docker.DiskUsage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := docker.DiskUsage{Containers: map[string]int64{}, Images: map[string]int64{}, InUse: map[string]int64{}}
	for _, c := range f.containers {
		out.Containers[c.ID] = 10
		out.InUse[c.ImageID]++
	}
	for _, i := range f.images {
		out.Images[i.ID] = i.Size
	}
	return out, nil
}

// pruneRig has a Pod "web" whose container was restarted, what is left of a Pod "gone",
// and somebody else's container.
func pruneRig(t *testing.T) (*fakeEngine, *fake.Clientset, PruneOptions) {
	t.Helper()
	e := newFakeEngine(pause.Ref, "app:1", "template:1", "theirs:1", "unused:1", "docker.io/library/full:1")
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d"}}
	deployment.Spec.Template.Spec.Containers = []v1.Container{{Image: "template:1"}}
	deployment.Spec.Template.Spec.InitContainers = []v1.Container{{Image: "full:1"}}
	pod := testPod()
	pod.Spec.Containers = []v1.Container{{Name: "app", Image: "app:1"}}
	client := fake.NewClientset(pod, deployment)
	opts := PruneOptions{Instance: "test", Root: t.TempDir()}
	a := &Agent{opts: Options{Instance: "test"}}
	gone := testPod()
	gone.UID = "gone"
	make := func(p *v1.Pod, attempt int, status string) {
		id, err := e.Create(t.Context(), a.containerSpec(p, &v1.Container{Name: "app", Image: "app:1"}, attempt, "s", nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		e.containers[id].Status = status
	}
	make(pod, 0, docker.StatusExited)
	make(pod, 1, docker.StatusRunning)
	make(gone, 0, docker.StatusRunning)
	if _, err := e.Create(t.Context(), docker.ContainerSpec{Name: "theirs", Image: "theirs:1"}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"uid", "gone"} {
		path := filepath.Join(pods.Dirs{Root: opts.Root}.All(), dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "file"), []byte("12345"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return e, client, opts
}

func TestPruneRemovesWhatIsNotNeededAndNothingElse(t *testing.T) {
	e, client, opts := pruneRig(t)
	opts.Images, opts.DryRun = true, true
	would, err := prune(t.Context(), e, client, opts)
	if err != nil {
		t.Fatal(err)
	}
	if names := e.names(); len(names) != 4 {
		t.Errorf("a dry run left %q", names)
	}
	opts.DryRun = false
	var steps []string
	opts.Progress = func(step string) { steps = append(steps, step) }
	did, err := prune(t.Context(), e, client, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 5 || steps[0] != "asking Docker what takes disk space" || steps[4] != "removing image unused:1" {
		t.Errorf("the steps are told as %q", steps)
	}
	byName := func(a, b Pruned) int { return slices.Compare([]string{a.Kind, a.Name}, []string{b.Kind, b.Name}) }
	slices.SortFunc(would, byName)
	slices.SortFunc(did, byName)
	want := []Pruned{
		{PrunedContainer, "k8s_app_web_ns_gone_0", 10},
		{PrunedContainer, "k8s_app_web_ns_uid_0", 10},
		{PrunedDirectory, filepath.Join(pods.Dirs{Root: opts.Root}.All(), "gone"), 5},
		{PrunedImage, "unused:1", 1000},
	}
	if !slices.Equal(did, want) || !slices.Equal(would, want) {
		t.Errorf("did   %+v\nwould %+v\nwant  %+v", did, would, want)
	}
	if names := e.names(); !slices.Equal(names, []string{"k8s_app_web_ns_uid_1 running", "theirs created"}) {
		t.Errorf("left %q", names)
	}
	if _, err := os.Stat(filepath.Join(pods.Dirs{Root: opts.Root}.All(), "uid", "file")); err != nil {
		t.Error(err)
	}
	if again, err := prune(t.Context(), e, client, opts); err != nil || len(again) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestPruneKeepsImagesUnlessToldOtherwise(t *testing.T) {
	e, client, opts := pruneRig(t)
	if _, err := prune(t.Context(), e, client, opts); err != nil {
		t.Fatal(err)
	}
	if images, _ := e.Images(t.Context()); len(images) != 6 {
		t.Errorf("images %+v", images)
	}
}
