package runtime

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
	"k8s.io/utils/ptr"
)

// localPV is a directory of this node.
func localPV(path string) v1.PersistentVolumeSource {
	return v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}}
}

// declareClaim makes a claim and its volume, bound to each other, with what change does to them.
func declareClaim(t testing.TB, client kubernetes.Interface, namespace, name string, source v1.PersistentVolumeSource, change func(*v1.PersistentVolumeClaim, *v1.PersistentVolume)) {
	t.Helper()
	modes := []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}
	claim := &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Finalizers: []string{volumeutil.PVCProtectionFinalizer}},
		Spec:       v1.PersistentVolumeClaimSpec{VolumeName: "pv-" + name, AccessModes: modes},
		Status:     v1.PersistentVolumeClaimStatus{Phase: v1.ClaimBound},
	}
	pv := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-" + name},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeSource: source, AccessModes: modes,
			ClaimRef: &v1.ObjectReference{Namespace: namespace, Name: name, UID: claim.UID},
		},
		Status: v1.PersistentVolumeStatus{Phase: v1.VolumeBound},
	}
	if change != nil {
		change(claim, pv)
	}
	if _, err := client.CoreV1().PersistentVolumes().Create(t.Context(), pv, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// claim is declareClaim on the rig.
func (r *rig) claim(name string, source v1.PersistentVolumeSource, change func(*v1.PersistentVolumeClaim, *v1.PersistentVolume)) {
	r.t.Helper()
	declareClaim(r.t, r.client, "ns", name, source, change)
}

// claimSource is a volume of a claim.
func claimSource(name string) v1.VolumeSource {
	return v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

// mounting has a Pod's first container mount a source at /data, as the volume "data".
func mounting(source v1.VolumeSource) func(*v1.Pod) {
	return func(p *v1.Pod) { withVolume(&p.Spec, &p.Spec.Containers[0], "data", source) }
}

// mountOf is the first mount of a Pod's container "app", as Docker was asked for it.
func (r *rig) mountOf(pod string) (source string, readOnly bool) {
	r.t.Helper()
	c := r.engine.get("k8s_app_" + pod + "_ns_uid-" + pod + "_0")
	if c == nil {
		r.t.Fatalf("%s has no container; events\n\t%s", pod, strings.Join(r.reasons(pod), "\n\t"))
	}
	return c.spec.Mounts[0].Source, c.spec.Mounts[0].ReadOnly
}

func TestClaimThatCannotBeMountedKeepsThePodWaitingInAKubeletsWords(t *testing.T) {
	dir := t.TempDir()
	const unable = "FailedMount: Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[data]: "
	now := metav1.Now()
	for _, c := range []struct {
		what   string
		change func(*v1.PersistentVolumeClaim, *v1.PersistentVolume)
		want   string // empty: it runs
	}{
		{"bound", nil, ""},
		{"another claim", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) { c.Name = "other" }, `error processing PVC ns/it: failed to fetch PVC from API server: persistentvolumeclaims "it" not found`},
		{"pending", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) { c.Status.Phase = v1.ClaimPending }, "error processing PVC ns/it: PVC is not bound"},
		{"lost", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) { c.Status.Phase = v1.ClaimLost }, "error processing PVC ns/it: PVC is not bound"},
		{"bound to nothing", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) { c.Spec.VolumeName = "" }, "error processing PVC ns/it: PVC has empty pvc.Spec.VolumeName"},
		{"being deleted, and protected", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) { c.DeletionTimestamp = &now }, ""},
		{"being deleted", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) {
			c.DeletionTimestamp, c.Finalizers = &now, []string{"example.com/other"}
		}, "error processing PVC ns/it: PVC is being deleted"},
		{"without its volume", func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) { pv.Name = "other" }, `error processing PVC ns/it: failed to fetch PV pv-it from API server: persistentvolumes "pv-it" not found`},
		{"a volume that does not know", func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) { pv.Spec.ClaimRef = nil }, "error processing PVC ns/it: found PV object pv-it but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"},
		{"a volume of an earlier claim", func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) { pv.Spec.ClaimRef.UID = "old" }, "error processing PVC ns/it: found PV object pv-it but its pv.Spec.ClaimRef.UID old does not point to claim.UID uid-it"},
		{"a block device", func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) {
			pv.Spec.VolumeMode = ptr.To(v1.PersistentVolumeBlock)
		}, "volume data has volumeMode Block, but is specified in volumeMounts"},
	} {
		t.Run(c.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.claim("it", localPV(dir), c.change)
				r.pod("web", mounting(claimSource("it")))
				if c.want == "" {
					r.wantState("web", "app", "running 0")
					return
				}
				r.wantState("web", "app", "waiting ContainerCreating 0")
				if got := r.reasons("web"); !slices.Contains(got, unable+c.want) {
					t.Errorf("events %q\nwant %q", got, unable+c.want)
				}
			})
		})
	}
}

func TestAllClaimsThatAreMissingMakeOneEvent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			withVolume(&p.Spec, &p.Spec.Containers[0], "one", claimSource("a"))
			withVolume(&p.Spec, &p.Spec.Containers[0], "config", configMapSource("none"))
			withVolume(&p.Spec, &p.Spec.Containers[0], "two", claimSource("b"))
		})
		r.wantEvent("web", `failed to process volumes=[one two]: error processing PVC ns/a: failed to fetch PVC from API server: persistentvolumeclaims "a" not found; error processing PVC ns/b: `)
		r.wantEvent("web", `MountVolume.SetUp failed for volume "config" : configmap "none" not found`)
		if got := len(r.reasons("web")); got != 2 {
			t.Errorf("%d events: %q", got, r.reasons("web"))
		}
	})
}

func TestPodGoesOnAsSoonAsItsClaimIsBound(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var pv *v1.PersistentVolume
		r.claim("it", localPV(t.TempDir()), func(c *v1.PersistentVolumeClaim, v *v1.PersistentVolume) {
			c.Status.Phase, pv = v1.ClaimPending, v.DeepCopy()
			v.Spec.ClaimRef.UID = ""
		})
		r.pod("web", mounting(claimSource("it")))
		r.pod("other", nil)
		r.wantState("web", "app", "waiting ContainerCreating 0")
		began := time.Now()
		if _, err := r.client.CoreV1().PersistentVolumes().Update(t.Context(), pv, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.settle()
		r.wantState("web", "app", "waiting ContainerCreating 0")
		r.bind("it")
		r.settle()
		r.wantState("web", "app", "running 0")
		if took := time.Since(began); took >= configRetry {
			t.Errorf("it took %v", took)
		}
	})
}

// bind says that a claim is bound.
func (r *rig) bind(name string) {
	r.t.Helper()
	claim, err := r.client.CoreV1().PersistentVolumeClaims("ns").Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	claim = claim.DeepCopy()
	claim.Status.Phase = v1.ClaimBound
	if _, err := r.client.CoreV1().PersistentVolumeClaims("ns").UpdateStatus(r.t.Context(), claim, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func TestEphemeralVolumeMustBeThePodsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		source := v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{VolumeClaimTemplate: &v1.PersistentVolumeClaimTemplate{}}}
		dir := t.TempDir()
		r.claim("web-data", localPV(dir), func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) {
			c.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: "web", UID: "uid-web", Controller: ptr.To(true)}}
		})
		r.claim("thief-data", localPV(dir), nil)
		r.pod("web", mounting(source))
		r.pod("thief", mounting(source))
		r.wantState("web", "app", "running 0")
		if got, _ := r.mountOf("web"); got != dir {
			t.Errorf("it has %s", got)
		}
		r.wantState("thief", "app", "waiting ContainerCreating 0")
		r.wantEvent("thief", "PVC ns/thief-data was not created for pod ns/thief (pod is not owner)")
	})
}

func TestVolumeThatNoContainerMountsIsNotLookedAt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: claimSource("none")}} })
		r.wantState("web", "app", "running 0")
	})
}

func TestGrowthOfAVolumeTouchesNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.claim("it", localPV(t.TempDir()), nil)
		r.pod("web", mounting(claimSource("it")))
		r.engine.history()
		before := r.engine.inspected()
		claim, err := r.client.CoreV1().PersistentVolumeClaims("ns").Get(t.Context(), "it", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		claim = claim.DeepCopy()
		claim.Status.Capacity = amounts("storage", "2Gi")
		if _, err := r.client.CoreV1().PersistentVolumeClaims("ns").UpdateStatus(t.Context(), claim, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		pv, err := r.client.CoreV1().PersistentVolumes().Get(t.Context(), "pv-it", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pv = pv.DeepCopy()
		pv.Spec.Capacity = amounts("storage", "2Gi")
		if _, err := r.client.CoreV1().PersistentVolumes().Update(t.Context(), pv, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.after(configRetry)
		if did := r.engine.history(); len(did) > 0 || r.engine.inspected() != before {
			t.Errorf("Docker was asked to %q", did)
		}
		r.wantState("web", "app", "running 0")
	})
}
