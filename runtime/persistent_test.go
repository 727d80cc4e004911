package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/files"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
	"k8s.io/utils/ptr"
)

func TestPersistentVolumeIsMountedAsItIs(t *testing.T) {
	dir := t.TempDir()
	file, made, missing := filepath.Join(dir, "file"), filepath.Join(dir, "made"), filepath.Join(dir, "missing")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	host := func(path string, kind v1.HostPathType) v1.PersistentVolumeSource {
		return v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: path, Type: &kind}}
	}
	on := func(node string) *v1.VolumeNodeAffinity {
		return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
			MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{node}}},
		}}}}
	}
	for _, c := range []struct {
		what     string
		source   v1.PersistentVolumeSource
		change   func(*v1.PersistentVolume)
		path     string // where it lies; empty: it cannot be mounted
		readOnly bool
		event    string
	}{
		{what: "local", source: localPV(dir), path: dir},
		{what: "local that is not there", source: localPV(missing), event: `MountVolume.SetUp failed for volume "pv-it" : path "` + missing + `" does not exist`},
		{what: "local that is a file", source: localPV(file), event: `MountVolume.SetUp failed for volume "pv-it" : path "` + file + `" is not a directory, and only directories are supported`},
		{what: "local of this node", source: localPV(dir), change: func(pv *v1.PersistentVolume) { pv.Spec.NodeAffinity = on("node") }, path: dir},
		{what: "local of another node", source: localPV(dir), change: func(pv *v1.PersistentVolume) { pv.Spec.NodeAffinity = on("other") }, event: `MountVolume.NodeAffinity check failed for volume "pv-it" : no matching NodeSelectorTerms`},
		{what: "hostPath", source: host(file, v1.HostPathFile), path: file},
		{what: "hostPath of another type", source: host(file, v1.HostPathSocket), event: `MountVolume.SetUp failed for volume "pv-it" : hostPath type check failed: ` + file + ` is not a socket file`},
		{what: "hostPath that is made", source: host(made, v1.HostPathDirectoryOrCreate), path: made},
		{what: "hostPath with options", source: host(dir, v1.HostPathUnset), change: func(pv *v1.PersistentVolume) { pv.Spec.MountOptions = []string{"ro"} }, event: `MountVolume.MountOptionSupport check failed for volume "pv-it" : mount options are not supported for this volume type`},
		{what: "options that are ignored", source: localPV(dir), change: func(pv *v1.PersistentVolume) { pv.Spec.MountOptions = []string{"noatime", "ro"} }, path: dir, readOnly: true, event: `UnsupportedField: spec.mountOptions [noatime] of PersistentVolume "pv-it" are not supported yet and are ignored`},
		{what: "nobody writes to", source: localPV(dir), change: func(pv *v1.PersistentVolume) {
			pv.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadOnlyMany}
		}, path: dir, readOnly: true},
		{what: "some write to", source: localPV(dir), change: func(pv *v1.PersistentVolume) {
			pv.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadOnlyMany, v1.ReadWriteOnce}
		}, path: dir},
		{what: "CSI", source: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disk.example.com", VolumeHandle: "x"}}, event: `MountVolume.FindPluginBySpec failed for volume "pv-it" : no volume plugin matched: PersistentVolumes of type csi (driver disk.example.com) are not supported, only hostPath and local are`},
		{what: "NFS", source: v1.PersistentVolumeSource{NFS: &v1.NFSVolumeSource{Server: "x", Path: "/"}}, event: `PersistentVolumes of type nfs are not supported`},
	} {
		t.Run(c.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.claim("it", c.source, func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) {
					if c.change != nil {
						c.change(pv)
					}
				})
				r.pod("web", mounting(claimSource("it")))
				if c.event != "" {
					r.wantEvent("web", c.event)
				}
				if c.path == "" {
					r.wantState("web", "app", "waiting ContainerCreating 0")
					return
				}
				r.wantState("web", "app", "running 0")
				if path, readOnly := r.mountOf("web"); path != c.path || readOnly != c.readOnly {
					t.Errorf("it has %s, read-only %v", path, readOnly)
				}
			})
		})
	}
}

func TestClaimThatIsMountedReadOnlyIsSoForAllContainers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.claim("it", localPV(t.TempDir()), nil)
		source := claimSource("it")
		source.PersistentVolumeClaim.ReadOnly = true
		r.pod("web", mounting(source))
		if _, readOnly := r.mountOf("web"); !readOnly {
			t.Error("its container can write")
		}
	})
}

func TestBlockDeviceKeepsThePodWaiting(t *testing.T) {
	for mode, want := range map[v1.PersistentVolumeMode]string{
		v1.PersistentVolumeBlock:      `MapVolume.SetUpDevice failed for volume "pv-it" : raw block devices are not supported, and claim ns/it has volumeMode Block`,
		v1.PersistentVolumeFilesystem: "volume data has volumeMode Filesystem, but is specified in volumeDevices",
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.claim("it", localPV("/dev/null"), func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) { pv.Spec.VolumeMode = ptr.To(mode) })
			r.pod("web", func(p *v1.Pod) {
				p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: claimSource("it")}}
				p.Spec.Containers[0].VolumeDevices = []v1.VolumeDevice{{Name: "data", DevicePath: "/dev/x"}}
			})
			r.wantState("web", "app", "waiting ContainerCreating 0")
			r.wantEvent("web", want)
		})
	}
}

func TestVolumeOfOnePodIsNoOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.claim("it", localPV(t.TempDir()), func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) {
			pv.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadWriteOncePod}
		})
		r.pod("first", mounting(claimSource("it")))
		r.stop()
		r.start() // the next life of the agent knows who has it
		r.pod("second", mounting(claimSource("it")))
		r.wantState("second", "app", "waiting ContainerCreating 0")
		r.wantEvent("second", `MountVolume.SetUp failed for volume "pv-it" : volume uses the ReadWriteOncePod access mode and is already in use by another pod`)
		r.delete("first", 1)
		r.after(configRetry)
		r.wantState("second", "app", "running 0")
		r.pod("third", mounting(claimSource("it")))
		r.wantState("third", "app", "waiting ContainerCreating 0")
	})
}

func TestGroupThatAVolumeAsksForIsTheContainers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.claim("it", localPV(t.TempDir()), func(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) {
			pv.Annotations = map[string]string{volumeutil.VolumeGidAnnotationKey: "1234"}
		})
		r.pod("web", mounting(claimSource("it")))
		if got := r.engine.get("k8s_app_web_ns_uid-web_0").spec.Groups; !slices.Equal(got, []string{"1234"}) {
			t.Errorf("its groups are %q", got)
		}
	})
}

func TestDebuggerMayMountAClaimThatNobodyDid(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		r.claim("it", localPV(dir), nil)
		r.pod("web", func(p *v1.Pod) { p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: claimSource("it")}} })
		pod := r.get("web").DeepCopy()
		debugger := v1.EphemeralContainer{EphemeralContainerCommon: v1.EphemeralContainerCommon(app("debug"))}
		debugger.VolumeMounts = []v1.VolumeMount{{Name: "data", MountPath: "/data"}}
		pod.Spec.EphemeralContainers = []v1.EphemeralContainer{debugger}
		if _, err := r.client.CoreV1().Pods("ns").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if c := r.engine.get("k8s_debug_web_ns_uid-web_0"); c == nil || c.spec.Mounts[0].Source != dir {
			t.Errorf("it is %+v, events %q", c, r.reasons("web"))
		}
	})
}

func TestFilesOfAVolumeOutliveThePod(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		what  string
		grace int64
	}{{"deleted", 5}, {"deleted by force", 0}} {
		inBubble(t, func(t *testing.T, r *rig) {
			for _, file := range []string{"top", "part/below"} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o777); err != nil {
					t.Fatal(err)
				}
				fill(t, filepath.Join(dir, file), 10)
			}
			r.claim("it", localPV(dir), nil)
			r.pod("web", func(p *v1.Pod) {
				withVolume(&p.Spec, &p.Spec.Containers[0], "data", claimSource("it"))
				p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, v1.VolumeMount{Name: "data", MountPath: "/part", SubPath: "part"})
			})
			if part := filepath.Join(r.agent.dirs.Pod("uid-web"), files.SubPathsDir, "data/app/1/below"); fileSize(part) != 10 {
				t.Errorf("%s: its container does not see %s", c.what, part)
			}
			r.delete("web", c.grace)
			r.after(cleanRetry)
			if _, err := os.Stat(r.agent.dirs.Pod("uid-web")); !os.IsNotExist(err) {
				t.Errorf("%s: its directory is left: %v", c.what, err)
			}
			for _, file := range []string{"top", "part/below"} {
				if fileSize(filepath.Join(dir, file)) != 10 {
					t.Errorf("%s: %s went with it", c.what, file)
				}
			}
		})
	}
}

// fileSize is -1 if there is no file.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}
