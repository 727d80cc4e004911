package prune

import (
	"context"
	"maps"
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

// fakeEngine has containers and images, by ID.
type fakeEngine struct {
	containers map[string]docker.Container
	images     map[string]docker.Image
}

func (f *fakeEngine) List(_ context.Context, labels map[string]string) (out []docker.Container, err error) {
	for _, c := range f.containers {
		ours := true
		for key, value := range labels {
			ours = ours && c.Labels[key] == value
		}
		if ours {
			out = append(out, c)
		}
	}
	return out, nil
}

func (f *fakeEngine) Remove(_ context.Context, id string) error {
	delete(f.containers, id)
	return nil
}

func (f *fakeEngine) Images(context.Context) ([]docker.Image, error) {
	return slices.SortedFunc(maps.Values(f.images), func(a, b docker.Image) int { return slices.Compare(a.Tags, b.Tags) }), nil
}

func (f *fakeEngine) RemoveImage(_ context.Context, id string, _ bool) error {
	delete(f.images, id)
	return nil
}

func (f *fakeEngine) DiskUsage(context.Context) (docker.DiskUsage, error) {
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

// names are the containers that are left, each with its status, in order.
func (f *fakeEngine) names() (out []string) {
	for _, c := range f.containers {
		out = append(out, c.Name+" "+c.Status)
	}
	slices.Sort(out)
	return out
}

// rig has a Pod "web" whose container was restarted, what is left of a Pod "gone",
// and somebody else's container.
func rig(t *testing.T) (*fakeEngine, *fake.Clientset, Options) {
	t.Helper()
	e := &fakeEngine{containers: map[string]docker.Container{}, images: map[string]docker.Image{}}
	for _, ref := range []string{pause.Ref, "app:1", "template:1", "theirs:1", "unused:1", "docker.io/library/full:1"} {
		e.images["sha256:"+ref] = docker.Image{ID: "sha256:" + ref, Tags: []string{ref}, Size: 1000}
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d"}}
	deployment.Spec.Template.Spec.Containers = []v1.Container{{Image: "template:1"}}
	deployment.Spec.Template.Spec.InitContainers = []v1.Container{{Image: "full:1"}}
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid"}}
	pod.Spec.Containers = []v1.Container{{Name: "app", Image: "app:1"}}
	client := fake.NewClientset(pod, deployment)
	opts := Options{Instance: "test", Root: t.TempDir()}
	gone := pod.DeepCopy()
	gone.UID = "gone"
	add := func(name, image, status string, labels map[string]string) {
		e.containers["id-"+name] = docker.Container{ID: "id-" + name, Name: name, Image: image, ImageID: "sha256:" + image, Status: status, Labels: labels}
	}
	of := func(p *v1.Pod, attempt int, status string) {
		add(pods.DockerName(pods.RefOf(p), "app", attempt), "app:1", status, pods.Owner{Instance: opts.Instance}.Labels(p, "app", attempt))
	}
	of(pod, 0, docker.StatusExited)
	of(pod, 1, docker.StatusRunning)
	of(gone, 0, docker.StatusRunning)
	add("theirs", "theirs:1", docker.StatusCreated, nil)
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
	e, client, opts := rig(t)
	opts.Images, opts.DryRun = true, true
	would, err := run(t.Context(), e, client, opts)
	if err != nil {
		t.Fatal(err)
	}
	if names := e.names(); len(names) != 4 {
		t.Errorf("a dry run left %q", names)
	}
	opts.DryRun = false
	var steps []string
	opts.Progress = func(step string) { steps = append(steps, step) }
	did, err := run(t.Context(), e, client, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 5 || steps[0] != "asking Docker what takes disk space" || steps[4] != "removing image unused:1" {
		t.Errorf("the steps are told as %q", steps)
	}
	byName := func(a, b Item) int { return slices.Compare([]string{a.Kind, a.Name}, []string{b.Kind, b.Name}) }
	slices.SortFunc(would, byName)
	slices.SortFunc(did, byName)
	want := []Item{
		{Container, "k8s_app_web_ns_gone_0", 10},
		{Container, "k8s_app_web_ns_uid_0", 10},
		{Directory, filepath.Join(pods.Dirs{Root: opts.Root}.All(), "gone"), 5},
		{Image, "unused:1", 1000},
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
	if again, err := run(t.Context(), e, client, opts); err != nil || len(again) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestPruneKeepsImagesUnlessToldOtherwise(t *testing.T) {
	e, client, opts := rig(t)
	if _, err := run(t.Context(), e, client, opts); err != nil {
		t.Fatal(err)
	}
	if images, _ := e.Images(t.Context()); len(images) != 6 {
		t.Errorf("images %+v", images)
	}
}

func TestWhatRemainsOfAnInstance(t *testing.T) {
	e, _, opts := rig(t)
	r, err := Remain(t.Context(), e, opts.Instance)
	if err != nil {
		t.Fatal(err)
	}
	// Of "web" and of "gone", which has the same name.
	if !slices.Equal(r.Pods, []string{"ns/web"}) || r.Containers != 3 {
		t.Errorf("got %+v", r)
	}
}
