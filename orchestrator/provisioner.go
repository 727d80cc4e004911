package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	storageutil "k8s.io/kubernetes/pkg/apis/storage/util"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Provisioner is the provisioner of our StorageClasses: it makes a directory for each claim.
const Provisioner = "kube-lite.io/directory"

const (
	// defaultClass binds a claim when a Pod wants it, immediateClass at once.
	defaultClass   = "standard"
	immediateClass = "standard-immediate"

	// sizeAnnotation tells who describes a volume what its capacity is worth.
	sizeAnnotation = "kube-lite.io/capacity"
	sizeNote       = "not enforced: the directory may grow as long as its disk has room"

	// provisionFirst and provisionMost bound the pause before a volume is tried again that could not be made or removed.
	provisionFirst = time.Second
	provisionMost  = 5 * time.Minute
)

// newProvisioner makes the volumes of our StorageClasses.
func newProvisioner(ctx context.Context, w *world) (runner, error) {
	if w.opts.VolumeDir == "" {
		return idle, nil
	}
	var workers sync.WaitGroup
	core := w.informers.Core().V1()
	volumes := controller.NewProvisionController(ctx, w.client, Provisioner, &directories{w.opts.VolumeDir, core.Nodes().Lister()},
		controller.LeaderElection(false),
		controller.ClaimsInformer(core.PersistentVolumeClaims().Informer()),
		controller.VolumesInformer(core.PersistentVolumes().Informer()),
		controller.ClassesInformer(w.informers.Storage().V1().StorageClasses().Informer()),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](provisionFirst, provisionMost)),
		controller.FailedProvisionThreshold(0), // never give up
		controller.FailedDeleteThreshold(0),
	)
	volumes.ControllerWaitGroup(&workers)
	return single(func(ctx context.Context) {
		volumes.Run(ctx)
		workers.Wait()
	}), nil
}

// newClasses creates the StorageClasses.
func newClasses(_ context.Context, w *world) (runner, error) {
	if w.opts.VolumeDir == "" {
		return idle, nil
	}
	return single(func(ctx context.Context) {
		_ = wait.PollUntilContextCancel(ctx, provisionFirst, true, func(ctx context.Context) (bool, error) {
			err := ensureClasses(ctx, w.client)
			if err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "the StorageClasses are not there, trying again")
			}
			return err == nil, nil
		})
		<-ctx.Done()
	}), nil
}

// ensureClasses creates the StorageClasses that are missing; those that are there belong to their user.
func ensureClasses(ctx context.Context, client kubernetes.Interface) error {
	for name, mode := range map[string]storagev1.VolumeBindingMode{
		defaultClass:   storagev1.VolumeBindingWaitForFirstConsumer,
		immediateClass: storagev1.VolumeBindingImmediate,
	} {
		class := &storagev1.StorageClass{
			ObjectMeta:           metav1.ObjectMeta{Name: name},
			Provisioner:          Provisioner,
			ReclaimPolicy:        new(corev1.PersistentVolumeReclaimDelete),
			VolumeBindingMode:    &mode,
			AllowVolumeExpansion: new(true),
		}
		if name == defaultClass {
			class.Annotations = map[string]string{storageutil.IsDefaultStorageClassAnnotation: "true"}
		}
		_, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create StorageClass %s: %w", name, err)
		}
	}
	return nil
}

// directories makes and removes the directories of claims. It is the library's Provisioner.
type directories struct {
	root  string
	nodes corelisters.NodeLister
}

// Provision makes a directory that every user may write to: which one a Pod's program is, nobody knows yet.
func (d *directories) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if err := unsupported(o); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	node, err := d.node(o)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	path := filepath.Join(d.root, volumeDirectory(o.PVC.Namespace, o.PVC.Name, o.PVName))
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask is
		return nil, controller.ProvisioningFinished, err
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName, Annotations: map[string]string{sizeAnnotation: sizeNote}},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			VolumeMode:                    new(corev1.PersistentVolumeFilesystem),
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
				},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

// unsupported says what a claim or its class asks for that a directory cannot give.
func unsupported(o controller.ProvisionOptions) error {
	switch spec := o.PVC.Spec; {
	case spec.Selector != nil:
		return errors.New("a claim with a selector gets no new volume, only one that is there already")
	case spec.DataSource != nil || spec.DataSourceRef != nil:
		return errors.New("a new volume is empty: dataSource and dataSourceRef are not supported")
	}
	for name := range o.StorageClass.Parameters {
		return fmt.Errorf("StorageClass %s has the parameter %q: %s knows none", o.StorageClass.Name, name, Provisioner)
	}
	for _, option := range o.StorageClass.MountOptions {
		return fmt.Errorf("StorageClass %s has the mount option %q: a directory is not mounted with options", o.StorageClass.Name, option)
	}
	return nil
}

// node is the host name label of the node that the scheduler chose, or of some node when the claim did not wait for one.
func (d *directories) node(o controller.ProvisionOptions) (string, error) {
	if o.SelectedNodeName != "" {
		node, err := d.nodes.Get(o.SelectedNodeName)
		if err != nil {
			return "", err
		}
		return hostname(node), nil
	}
	all, err := d.nodes.List(labels.Everything())
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("there is no node yet")
	}
	first := slices.MinFunc(all, func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	return hostname(first), nil
}

func hostname(node *corev1.Node) string {
	if name := node.Labels[corev1.LabelHostname]; name != "" {
		return name
	}
	return node.Name
}

// Delete removes a volume's directory with what is in it.
func (d *directories) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	if volume.Spec.Local == nil || filepath.Dir(volume.Spec.Local.Path) != filepath.Clean(d.root) {
		return fmt.Errorf("the volume's directory is not one of those below %s: remove it by hand", d.root)
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}

// volumeDirectory names a volume's directory so that a person finds it: NAMESPACE_CLAIM_VOLUME, of which none can hold
// an underscore.
func volumeDirectory(namespace, claim, volume string) string {
	return strings.Join([]string{namespace, claim, volume}, "_")
}

// StoredClaims are the claims, as NAMESPACE/NAME, whose data lies in directories below dir, sorted. It needs no API.
func StoredClaims(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var claims []string
	for _, e := range entries {
		if parts := strings.Split(e.Name(), "_"); len(parts) == 3 {
			claims = append(claims, parts[0]+"/"+parts[1])
		}
	}
	slices.Sort(claims)
	return claims, nil
}
