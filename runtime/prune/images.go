package prune

import (
	"context"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pause"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// referredImages are the images, under their full names, that any Pod or Pod template of
// the instance names. An error means that nothing may be removed: an object that was not
// seen may need any image.
func referredImages(ctx context.Context, client kubernetes.Interface) (map[string]bool, error) {
	refs := map[string]bool{fullName(pause.Ref): true}
	for _, list := range specLists(client) {
		specs, err := list(ctx)
		if err != nil {
			return nil, fmt.Errorf("find the images that objects refer to: %w", err)
		}
		for _, spec := range specs {
			addImages(refs, spec)
		}
	}
	return refs, nil
}

func addImages(refs map[string]bool, spec v1.PodSpec) {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		refs[fullName(c.Image)] = true
	}
	for _, c := range spec.EphemeralContainers {
		refs[fullName(c.Image)] = true
	}
	for _, v := range spec.Volumes {
		if v.Image != nil {
			refs[fullName(v.Image.Reference)] = true
		}
	}
}

// specLists lists the Pod specs of each kind that holds any.
func specLists(client kubernetes.Interface) []func(context.Context) ([]v1.PodSpec, error) {
	core, apps, batch := client.CoreV1(), client.AppsV1(), client.BatchV1()
	return []func(context.Context) ([]v1.PodSpec, error){
		specs(core.Pods("").List, func(l *v1.PodList) []v1.Pod { return l.Items }, func(o v1.Pod) v1.PodSpec { return o.Spec }),
		specs(core.PodTemplates("").List, func(l *v1.PodTemplateList) []v1.PodTemplate { return l.Items },
			func(o v1.PodTemplate) v1.PodSpec { return o.Template.Spec }),
		specs(core.ReplicationControllers("").List, func(l *v1.ReplicationControllerList) []v1.ReplicationController { return l.Items },
			func(o v1.ReplicationController) v1.PodSpec {
				if o.Spec.Template == nil {
					return v1.PodSpec{}
				}
				return o.Spec.Template.Spec
			}),
		specs(apps.ReplicaSets("").List, func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items },
			func(o appsv1.ReplicaSet) v1.PodSpec { return o.Spec.Template.Spec }),
		specs(apps.Deployments("").List, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items },
			func(o appsv1.Deployment) v1.PodSpec { return o.Spec.Template.Spec }),
		specs(apps.StatefulSets("").List, func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items },
			func(o appsv1.StatefulSet) v1.PodSpec { return o.Spec.Template.Spec }),
		specs(apps.DaemonSets("").List, func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items },
			func(o appsv1.DaemonSet) v1.PodSpec { return o.Spec.Template.Spec }),
		specs(batch.Jobs("").List, func(l *batchv1.JobList) []batchv1.Job { return l.Items },
			func(o batchv1.Job) v1.PodSpec { return o.Spec.Template.Spec }),
		specs(batch.CronJobs("").List, func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items },
			func(o batchv1.CronJob) v1.PodSpec { return o.Spec.JobTemplate.Spec.Template.Spec }),
	}
}

// specs lists objects of one kind and takes the Pod spec out of each.
func specs[L, O any](list func(context.Context, metav1.ListOptions) (L, error), items func(L) []O,
	spec func(O) v1.PodSpec) func(context.Context) ([]v1.PodSpec, error) {
	return func(ctx context.Context) ([]v1.PodSpec, error) {
		found, err := list(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var out []v1.PodSpec
		for _, o := range items(found) {
			out = append(out, spec(o))
		}
		return out, nil
	}
}

// isReferred tells whether an image goes by a name that an object uses.
func isReferred(i docker.Image, refs map[string]bool) bool {
	if refs[i.ID] {
		return true
	}
	for _, name := range slices.Concat(i.Tags, i.Digests) {
		if refs[fullName(name)] {
			return true
		}
	}
	return false
}

// fullName is an image name with registry and tag; what is no name is left alone.
func fullName(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return reference.TagNameOnly(named).String()
}
