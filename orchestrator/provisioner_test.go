package orchestrator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-lite/kube-lite/orchestrator"
)

// newClaim asks for 1 Gi of a class; "" means the default.
func newClaim(name, class string) corev1.PersistentVolumeClaim {
	claim := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	if class != "" {
		claim.Spec.StorageClassName = &class
	}
	return claim
}

func (c *cluster) createClaim(claim corev1.PersistentVolumeClaim) {
	c.t.Helper()
	// The default class is set at creation, so it must be there.
	eventually(c.t, func() error {
		_, err := c.client.StorageV1().StorageClasses().Get(c.t.Context(), "standard-immediate", metav1.GetOptions{})
		return err
	})
	_, err := c.client.CoreV1().PersistentVolumeClaims("default").Create(c.t.Context(), &claim, metav1.CreateOptions{})
	fatal(c.t, err)
}

// boundVolume waits until the claim has a volume.
func (c *cluster) boundVolume(name string) *corev1.PersistentVolume {
	c.t.Helper()
	var volume *corev1.PersistentVolume
	eventually(c.t, func() error {
		claim, err := c.client.CoreV1().PersistentVolumeClaims("default").Get(c.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if claim.Status.Phase != corev1.ClaimBound {
			return fmt.Errorf("claim %s is %s", name, claim.Status.Phase)
		}
		volume, err = c.client.CoreV1().PersistentVolumes().Get(c.t.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
		return err
	})
	return volume
}

func TestAClaimGetsADirectoryThatGoesWithIt(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.createClaim(newClaim("data", "standard-immediate"))
	volume := c.boundVolume("data")
	want := filepath.Join(c.volumes(), "default_data_"+volume.Name)
	if volume.Spec.Local == nil || volume.Spec.Local.Path != want {
		t.Fatalf("the volume is %+v, want the directory %s", volume.Spec.PersistentVolumeSource, want)
	}
	info, err := os.Stat(want)
	fatal(t, err)
	if info.Mode().Perm() != 0o777 {
		t.Errorf("the directory's mode is %v: a user other than root cannot write", info.Mode())
	}
	if !strings.Contains(volume.Annotations["kube-lite.io/capacity"], "not enforced") {
		t.Errorf("annotations %v do not say that the size is not enforced", volume.Annotations)
	}
	if terms := volume.Spec.NodeAffinity.Required.NodeSelectorTerms; terms[0].MatchExpressions[0].Values[0] != nodeName {
		t.Errorf("node affinity %+v", terms)
	}
	fatal(t, os.WriteFile(filepath.Join(want, "rows"), []byte("1"), 0o600))
	stored, err := orchestrator.StoredClaims(c.volumes())
	fatal(t, err)
	if !slices.Equal(stored, []string{"default/data"}) {
		t.Errorf("stored claims %v", stored)
	}
	fatal(t, c.client.CoreV1().PersistentVolumeClaims("default").Delete(t.Context(), "data", metav1.DeleteOptions{}))
	eventually(t, func() error {
		_, err := c.client.CoreV1().PersistentVolumes().Get(t.Context(), volume.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the volume is still there (%v)", err)
		}
		return nil
	})
	if _, err := os.Stat(want); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestTheDefaultClassWaitsForAPodAndRetainKeepsTheData(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.createClaim(newClaim("data", ""))
	pod := template(nil, "db:1")
	_, err := c.client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec: corev1.PodSpec{Containers: pod.Spec.Containers, Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
		}}}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	volume := c.boundVolume("data")
	if got := volume.Spec.StorageClassName; got != "standard" {
		t.Errorf("the default class is %q", got)
	}
	_, err = c.client.CoreV1().PersistentVolumes().Patch(t.Context(), volume.Name, types.MergePatchType,
		[]byte(`{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`), metav1.PatchOptions{})
	fatal(t, err)
	fatal(t, c.client.CoreV1().PersistentVolumeClaims("default").Delete(t.Context(), "data", metav1.DeleteOptions{}))
	claim, err := c.client.CoreV1().PersistentVolumeClaims("default").Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil || claim.DeletionTimestamp == nil {
		t.Errorf("a claim that a pod uses went at once (%v)", err)
	}
	fatal(t, c.client.CoreV1().Pods("default").Delete(t.Context(), "db", metav1.DeleteOptions{}))
	eventually(t, func() error {
		volume, err = c.client.CoreV1().PersistentVolumes().Get(t.Context(), volume.Name, metav1.GetOptions{})
		if err != nil || volume.Status.Phase != corev1.VolumeReleased {
			return fmt.Errorf("phase %s, %v", volume.Status.Phase, err)
		}
		return nil
	})
	if _, err := os.Stat(volume.Spec.Local.Path); err != nil {
		t.Errorf("the data of a volume that is retained is gone: %v", err)
	}
}

func TestAClaimGrowsAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.createClaim(newClaim("data", "standard-immediate"))
	volume := c.boundVolume("data")
	_, err := c.client.CoreV1().PersistentVolumeClaims("default").Patch(t.Context(), "data", types.MergePatchType,
		[]byte(`{"spec":{"resources":{"requests":{"storage":"5Gi"}}}}`), metav1.PatchOptions{})
	fatal(t, err)
	eventually(t, func() error {
		claim, err := c.client.CoreV1().PersistentVolumeClaims("default").Get(t.Context(), "data", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got := claim.Status.Capacity[corev1.ResourceStorage]; got.String() != "5Gi" {
			return fmt.Errorf("the claim has %s", got.String())
		}
		return nil
	})
	volume, err = c.client.CoreV1().PersistentVolumes().Get(t.Context(), volume.Name, metav1.GetOptions{})
	fatal(t, err)
	if got := volume.Spec.Capacity[corev1.ResourceStorage]; got.String() != "5Gi" {
		t.Errorf("the volume has %s", got.String())
	}
}

func TestWhatADirectoryCannotBeIsSaid(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for name, parameters := range map[string]map[string]string{"odd": {"fsType": "xfs"}, "plain": nil} {
		_, err := c.client.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: orchestrator.Provisioner, Parameters: parameters,
		}, metav1.CreateOptions{})
		fatal(t, err)
	}
	selective, copied, block, odd := newClaim("selective", "plain"), newClaim("copied", "plain"), newClaim("block", "plain"), newClaim("odd", "odd")
	selective.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"disk": "fast"}}
	copied.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "data"}
	block.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
	for words, claim := range map[string]corev1.PersistentVolumeClaim{
		"with a selector gets no new volume":          selective,
		"dataSource and dataSourceRef are not":        copied,
		"does not support block volumes":              block,
		`StorageClass odd has the parameter "fsType"`: odd,
	} {
		c.createClaim(claim)
		eventually(t, func() error { return c.hasEvent(claim.Name, words) })
	}
	if entries, _ := os.ReadDir(c.volumes()); len(entries) > 0 {
		t.Errorf("half-made directories: %v", entries)
	}
}

// hasEvent looks for an event of an object by a part of its message.
func (c *cluster) hasEvent(object, words string) error {
	list, err := c.client.CoreV1().Events(metav1.NamespaceAll).List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	var seen []string
	for _, e := range list.Items {
		if e.InvolvedObject.Name == object {
			if strings.Contains(e.Message, words) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
	}
	return fmt.Errorf("no event of %s says %q, but %q", object, words, seen)
}
