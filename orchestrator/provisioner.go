package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"
	volumehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

// Provisioner is the provisioner of our StorageClasses: it makes a directory for each claim.
const Provisioner = "kube-lite.io/directory"

// sizeAnnotation tells who describes a volume what its capacity is worth.
const (
	sizeAnnotation = "kube-lite.io/capacity"
	sizeNote       = "not enforced: the directory may grow as long as its disk has room"
)

// provisioner makes a volume for each claim that upstream's binder gives to it, lets it grow, and removes it when it is
// released. The binder and the scheduler speak with it by annotations.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#dynamic
type provisioner struct {
	root     string
	client   kubernetes.Interface
	claims   corelisters.PersistentVolumeClaimLister
	volumes  corelisters.PersistentVolumeLister
	nodes    corelisters.NodeLister
	classes  storagelisters.StorageClassLister
	recorder record.EventRecorder
}

func newProvisioner(ctx context.Context, w *world) (runner, error) {
	if w.opts.VolumeDir == "" {
		return idle, nil
	}
	core, classes := w.informers.Core().V1(), w.informers.Storage().V1().StorageClasses()
	events := record.NewBroadcaster(record.WithContext(ctx))
	p := &provisioner{
		root: w.opts.VolumeDir, client: w.client, claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister(),
		nodes: core.Nodes().Lister(), classes: classes.Lister(),
		recorder: events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Provisioner}),
	}
	claims, err := newKeyed(p.reconcileClaim, core.PersistentVolumeClaims().Informer(),
		core.PersistentVolumes().Informer(), core.Nodes().Informer(), classes.Informer())
	if err != nil {
		return nil, err
	}
	volumes, err := newKeyed(p.reconcileVolume, core.PersistentVolumes().Informer())
	if err != nil {
		return nil, err
	}
	return single(func(ctx context.Context) {
		events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.client.CoreV1().Events(metav1.NamespaceAll)})
		defer events.Shutdown()
		both{claims, func(ctx context.Context) { volumes.Run(ctx, 1) }}.Run(ctx, 1)
	}), nil
}

// reconcileClaim makes a volume for a claim that waits for one of ours, or lets that of a bound claim grow.
func (p *provisioner) reconcileClaim(ctx context.Context, key cache.ObjectName) error {
	claim, err := p.claims.PersistentVolumeClaims(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) || err == nil && claim.DeletionTimestamp != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if claim.Spec.VolumeName != "" {
		return p.expand(ctx, claim)
	}
	if claim.Annotations[volumehelpers.AnnStorageProvisioner] != Provisioner {
		return nil
	}
	class, err := p.classes.Get(volumehelpers.GetPersistentVolumeClaimClass(claim))
	if err != nil {
		return err
	}
	selected := claim.Annotations[volumehelpers.AnnSelectedNode]
	if selected == "" && ptr.Deref(class.VolumeBindingMode, "") == storagev1.VolumeBindingWaitForFirstConsumer {
		return nil // until the scheduler has chosen
	}
	name := "pvc-" + string(claim.UID)
	if _, err := p.volumes.Get(name); err == nil {
		return nil // the binder has yet to see it
	}
	if err := p.provision(ctx, name, claim, class, selected); err != nil {
		p.recorder.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed", "failed to provision volume with StorageClass %q: %v", class.Name, err)
		return fmt.Errorf("provision a volume: %w", err)
	}
	p.recorder.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", name)
	return nil
}

func (p *provisioner) provision(ctx context.Context, name string, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, selected string) error {
	if err := unsupported(claim, class); err != nil {
		return err
	}
	node, err := p.hostname(selected)
	if err != nil {
		return err
	}
	owner, err := reference.GetReference(scheme.Scheme, claim)
	if err != nil {
		return err
	}
	path := filepath.Join(p.root, volumeDirectory(claim.Namespace, claim.Name, name))
	if err := makeDirectory(path); err != nil {
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{
			volumehelpers.AnnDynamicallyProvisioned: Provisioner, sizeAnnotation: sizeNote,
		}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName:              class.Name,
			ClaimRef:                      owner,
			PersistentVolumeReclaimPolicy: ptr.Deref(class.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete),
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			VolumeMode:                    new(corev1.PersistentVolumeFilesystem),
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
				},
			}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		_ = os.Remove(path) // it is empty; the next try makes it again
		return err
	}
	return nil
}

// hostname is the host name label of the node that the scheduler chose, or of some node when the claim did not wait.
func (p *provisioner) hostname(selected string) (string, error) {
	if selected != "" {
		node, err := p.nodes.Get(selected)
		if err != nil {
			return "", err
		}
		return hostname(node), nil
	}
	all, err := p.nodes.List(labels.Everything())
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("there is no node yet")
	}
	return hostname(slices.MinFunc(all, func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })), nil
}

func hostname(node *corev1.Node) string {
	if name := node.Labels[corev1.LabelHostname]; name != "" {
		return name
	}
	return node.Name
}

// reconcileVolume removes a volume of ours that was released and is not to be kept.
func (p *provisioner) reconcileVolume(ctx context.Context, key cache.ObjectName) error {
	volume, err := p.volumes.Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if volume.Annotations[volumehelpers.AnnDynamicallyProvisioned] != Provisioner || volume.DeletionTimestamp != nil ||
		volume.Status.Phase != corev1.VolumeReleased || volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := removeDirectory(p.root, volume); err != nil {
		p.recorder.Event(volume, corev1.EventTypeWarning, "VolumeFailedDelete", err.Error())
		return fmt.Errorf("remove the directory: %w", err)
	}
	err = p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(volume.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete PersistentVolume %s: %w", volume.Name, err)
	}
	return nil
}
