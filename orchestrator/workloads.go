package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/kubernetes/pkg/controller/cronjob"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/disruption"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/replication"
	"k8s.io/kubernetes/pkg/controller/statefulset"
	"k8s.io/kubernetes/pkg/controller/ttlafterfinished"
	resourcemetrics "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"
)

// workloadLoops make Pods of what users declare, and bound how many there are.
func workloadLoops() []loop {
	return []loop{
		{"deployment-controller", 5, nil, func(ctx context.Context, w *world) (runner, error) {
			apps := w.informers.Apps().V1()
			return deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), w.informers.Core().V1().Pods(), w.client)
		}},
		{"replicaset-controller", 5, nil, func(ctx context.Context, w *world) (runner, error) {
			return replicaset.NewReplicaSetController(ctx, w.informers.Apps().V1().ReplicaSets(), w.informers.Core().V1().Pods(), w.client, replicaset.BurstReplicas), nil
		}},
		{"replicationcontroller-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Core().V1().ReplicationControllers()) }, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return replication.NewReplicationManager(ctx, core.Pods(), core.ReplicationControllers(), w.client, replication.BurstReplicas), nil
		}},
		{"statefulset-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Apps().V1().StatefulSets()) }, func(ctx context.Context, w *world) (runner, error) {
			core, apps := w.informers.Core().V1(), w.informers.Apps().V1()
			return statefulset.NewStatefulSetController(ctx, core.Pods(), apps.StatefulSets(), core.PersistentVolumeClaims(), apps.ControllerRevisions(), w.client), nil
		}},
		{"daemonset-controller", 2, func(w *world) []trigger { return anyOf(w.informers.Apps().V1().DaemonSets()) }, func(ctx context.Context, w *world) (runner, error) {
			core, apps := w.informers.Core().V1(), w.informers.Apps().V1()
			return daemon.NewDaemonSetsController(ctx, apps.DaemonSets(), apps.ControllerRevisions(), core.Pods(), core.Nodes(), w.client,
				flowcontrol.NewBackOff(failedDaemonFirst, failedDaemonMost))
		}},
		{"job-controller", 5, jobsOrTheirPods, func(ctx context.Context, w *world) (runner, error) {
			// The two informers are of a feature that upstream has off, gang scheduling.
			return job.NewController(ctx, w.client, w.informers.Core().V1().Pods(), w.informers.Batch().V1().Jobs(), nil, nil)
		}},
		{"cronjob-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Batch().V1().CronJobs()) }, func(ctx context.Context, w *world) (runner, error) {
			batch := w.informers.Batch().V1()
			return cronjob.NewControllerV2(ctx, batch.Jobs(), batch.CronJobs(), w.client)
		}},
		{"ttl-after-finished-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Batch().V1().Jobs()) }, func(ctx context.Context, w *world) (runner, error) {
			return ttlafterfinished.New(ctx, w.informers.Batch().V1().Jobs(), w.client), nil
		}},
		{"disruption-controller", 1, func(w *world) []trigger { return anyOf(w.informers.Policy().V1().PodDisruptionBudgets()) }, func(ctx context.Context, w *world) (runner, error) {
			core, apps := w.informers.Core().V1(), w.informers.Apps().V1()
			scales, err := w.scales()
			if err != nil {
				return nil, err
			}
			return single(disruption.NewDisruptionController(ctx, core.Pods(), w.informers.Policy().V1().PodDisruptionBudgets(),
				core.ReplicationControllers(), apps.ReplicaSets(), apps.Deployments(), apps.StatefulSets(),
				w.client, w.mapper, scales, w.client.Discovery()).Run), nil
		}},
		{"horizontal-pod-autoscaler-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Autoscaling().V2().HorizontalPodAutoscalers()) }, newAutoscaler},
	}
}

// jobsOrTheirPods are also those Pods whose Job is gone but not its finalizer, which the controller removes.
func jobsOrTheirPods(w *world) []trigger {
	return append(anyOf(w.informers.Batch().V1().Jobs()), trigger{w.informers.Core().V1().Pods().Informer(), func(obj any) bool {
		return slices.Contains(obj.(*corev1.Pod).Finalizers, batchv1.JobTrackingFinalizer)
	}})
}

// A DaemonSet's failed Pods are replaced after these pauses, as kube-controller-manager has them.
const (
	failedDaemonFirst = time.Second
	failedDaemonMost  = 15 * time.Minute
)

// The autoscaler's parameters are kube-controller-manager's flags --horizontal-pod-autoscaler-…, with their defaults.
const (
	autoscalerSync           = 15 * time.Second
	autoscalerDownscaleAfter = 5 * time.Minute
	autoscalerTolerance      = 0.1
	autoscalerCPUSettles     = 5 * time.Minute
	autoscalerReadyDelay     = 30 * time.Second
)

// newAutoscaler reads resource metrics, and custom and external ones where somebody has installed an adapter for them.
func newAutoscaler(ctx context.Context, w *world) (runner, error) {
	resources, err := resourcemetrics.NewForConfig(w.config)
	if err != nil {
		return nil, fmt.Errorf("client of metrics.k8s.io: %w", err)
	}
	external, err := external_metrics.NewForConfig(w.config)
	if err != nil {
		return nil, fmt.Errorf("client of external.metrics.k8s.io: %w", err)
	}
	scales, err := w.scales()
	if err != nil {
		return nil, err
	}
	versions := custom_metrics.NewAvailableAPIsGetter(w.client.Discovery())
	custom := custom_metrics.NewForConfig(w.config, w.mapper, versions)
	autoscaler := podautoscaler.NewHorizontalController(ctx, w.client.CoreV1(), scales, w.client.AutoscalingV2(), w.mapper,
		metrics.NewRESTMetricsClient(resources, custom, external),
		w.informers.Autoscaling().V2().HorizontalPodAutoscalers(), w.informers.Core().V1().Pods(),
		autoscalerSync, autoscalerDownscaleAfter, autoscalerTolerance, autoscalerCPUSettles, autoscalerReadyDelay)
	return both{autoscaler, func(ctx context.Context) {
		custom_metrics.PeriodicallyInvalidate(versions, autoscalerSync, ctx.Done())
	}}, nil
}
