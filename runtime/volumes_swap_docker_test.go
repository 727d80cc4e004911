package runtime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// swaps is how often the sources change, each time as soon as the volumes may have followed.
const (
	swaps     = 60
	swapPause = 25 * time.Millisecond
)

// versioned makes or changes the sources of the Pod "web": two keys each that say the same.
func (r *dockerRig) versioned(version int) {
	r.t.Helper()
	text := strings.Repeat(strconv.Itoa(version)+" ", 2000) // many reads long, should one be torn
	both := map[string]string{"a": text, "b": text}
	secret := &v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "source"}, StringData: both, Data: map[string][]byte{"a": []byte(text), "b": []byte(text)}}
	config := &v1.ConfigMap{ObjectMeta: secret.ObjectMeta, Data: both}
	ctx, core := r.t.Context(), r.client.CoreV1()
	var err error
	if version == 0 {
		if _, err = core.ConfigMaps("default").Create(ctx, config, metav1.CreateOptions{}); err == nil {
			_, err = core.Secrets("default").Create(ctx, secret, metav1.CreateOptions{})
		}
	} else if _, err = core.ConfigMaps("default").Update(ctx, config, metav1.UpdateOptions{}); err == nil {
		_, err = core.Secrets("default").Update(ctx, secret, metav1.UpdateOptions{})
		r.update("web", func(p *v1.Pod) { p.Annotations = both })
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// bothKeys are the downward API's files that say what the sources say.
func bothKeys() []v1.DownwardAPIVolumeFile {
	field := func(name string) v1.DownwardAPIVolumeFile {
		return v1.DownwardAPIVolumeFile{Path: name, FieldRef: &v1.ObjectFieldSelector{FieldPath: fmt.Sprintf("metadata.annotations['%s']", name)}}
	}
	return []v1.DownwardAPIVolumeFile{field("a"), field("b")}
}

// While their sources change all the time, whoever reads the files of a volume finds each of them whole, and all of
// them of one version.
func TestVolumesChangeAllAtOnceWhileTheyAreReadOnDocker(t *testing.T) {
	r := newDockerRig(t)
	r.versioned(0)
	source := v1.LocalObjectReference{Name: "source"}
	volumes := map[string]v1.VolumeSource{
		"config":   configMapSource("source"),
		"secret":   {Secret: &v1.SecretVolumeSource{SecretName: "source"}},
		"downward": {DownwardAPI: &v1.DownwardAPIVolumeSource{Items: bothKeys()}},
		"projected": {Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
			{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: source, Items: []v1.KeyToPath{{Key: "a", Path: "a"}}}},
			{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: source, Items: []v1.KeyToPath{{Key: "b", Path: "b"}}}},
		}}},
	}
	last := strconv.Itoa(swaps)
	r.declare("web", func(p *v1.Pod) {
		zero := strings.Repeat("0 ", 2000)
		p.Annotations, p.Spec.RestartPolicy = map[string]string{"a": zero, "b": zero}, v1.RestartPolicyNever
		for name, v := range volumes {
			c := r.container(name, "swaps=/"+name+"="+last)
			withVolume(&p.Spec, &c, name, v)
			c.TerminationMessagePath = v1.TerminationMessagePathDefault
			p.Spec.Containers = append(p.Spec.Containers, c)
		}
	})
	r.await("web", "running", func(p *v1.Pod) bool {
		return len(p.Status.ContainerStatuses) == len(volumes) && !slices.ContainsFunc(p.Status.ContainerStatuses, func(s v1.ContainerStatus) bool { return s.State.Running == nil })
	})
	for version := 1; version <= swaps; version++ {
		r.versioned(version)
		time.Sleep(swapPause) // the load that is asked for; nothing waits for it
	}
	began := time.Now()
	pod := r.finished("web")
	t.Logf("all volumes and the Pod's status followed %v after the last change", time.Since(began))
	for _, s := range pod.Status.ContainerStatuses {
		seen := 0
		if _, err := fmt.Sscanf(s.State.Terminated.Message, "%d versions", &seen); err != nil || seen < 5 {
			t.Errorf("%s: %q, want it to have seen the volume change often", s.Name, s.State.Terminated.Message)
		}
		t.Logf("%s saw %s", s.Name, s.State.Terminated.Message)
	}
}
