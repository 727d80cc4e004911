package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kube-lite/kube-lite/daemon"
)

// printReleased lists what prune leaves alone since it is somebody's data: volumes that were released and are retained,
// and directories of claims whose PersistentVolume is gone.
func (e *env) printReleased(ctx context.Context, client kubernetes.Interface, cfg daemon.Config) error {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return err
	}
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list PersistentVolumes: %w", err)
	}
	known := map[string]bool{}
	for _, v := range volumes.Items {
		if v.Spec.Local != nil {
			known[v.Spec.Local.Path] = true
		}
		if claim := v.Spec.ClaimRef; v.Status.Phase == corev1.VolumeReleased && claim != nil {
			fmt.Fprintf(e.stdout, "kept: PersistentVolume %s, released by the claim %s/%s; delete it if nobody wants its data\n", v.Name, claim.Namespace, claim.Name)
		}
	}
	entries, err := os.ReadDir(cfg.VolumesPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if path := filepath.Join(cfg.VolumesPath(), entry.Name()); !known[path] {
			fmt.Fprintf(e.stdout, "kept: %s, data of a claim whose PersistentVolume is gone; remove it if nobody wants it\n", path)
		}
	}
	return nil
}
