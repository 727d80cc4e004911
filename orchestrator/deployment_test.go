package orchestrator_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

func deployment(replicas int32, image string) *appsv1.Deployment {
	labels := map[string]string{"app": "echo"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "echo", Annotations: map[string]string{"kubernetes.io/change-cause": "create"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: template(labels, image),
		},
	}
}

func rolledOut(t testing.TB, client kubernetes.Interface, ns, revision string) {
	t.Helper()
	eventually(t, func() error {
		d, err := client.AppsV1().Deployments(ns).Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		want, s := *d.Spec.Replicas, d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.Replicas != want || s.AvailableReplicas != want {
			return fmt.Errorf("status %+v", s)
		}
		if got := d.Annotations["deployment.kubernetes.io/revision"]; got != revision {
			return fmt.Errorf("revision %q, want %q", got, revision)
		}
		return nil
	})
}

func counts(t testing.TB, client kubernetes.Interface, ns string) string {
	t.Helper()
	sets, err := client.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	pods, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	return fmt.Sprintf("%d sets, %d pods", len(sets.Items), len(pods.Items))
}

func wantCounts(t testing.TB, client kubernetes.Interface, ns, want string) {
	t.Helper()
	eventually(t, func() error {
		if got := counts(t, client, ns); got != want {
			return fmt.Errorf("%s, want %s", got, want)
		}
		return nil
	})
}

func TestDeploymentRollsOutUndoesAndGoes(t *testing.T) {
	client := newCluster(t).client
	deployments := client.AppsV1().Deployments("default")
	_, err := deployments.Create(t.Context(), deployment(3, "echo:latest"), metav1.CreateOptions{})
	fatal(t, err)
	rolledOut(t, client, "default", "1")
	wantCounts(t, client, "default", "1 sets, 3 pods")

	change := func(patch string) {
		t.Helper()
		_, err := deployments.Patch(t.Context(), "echo", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		fatal(t, err)
	}
	change(`{"spec":{"replicas":4}}`)
	rolledOut(t, client, "default", "1")
	wantCounts(t, client, "default", "1 sets, 4 pods")
	change(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"echo:patched"}]}}}}`)
	rolledOut(t, client, "default", "2")
	wantCounts(t, client, "default", "2 sets, 4 pods")
	change(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"echo:latest"}]}}}}`)
	rolledOut(t, client, "default", "3")
	wantCounts(t, client, "default", "2 sets, 4 pods")

	fatal(t, deployments.Delete(t.Context(), "echo", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	wantCounts(t, client, "default", "0 sets, 0 pods")
}

func TestForegroundAndOrphanDeletion(t *testing.T) {
	client := newCluster(t).client
	deployments := client.AppsV1().Deployments("default")
	for _, test := range []struct {
		policy metav1.DeletionPropagation
		left   string
	}{
		{metav1.DeletePropagationForeground, "0 sets, 0 pods"},
		{metav1.DeletePropagationOrphan, "1 sets, 2 pods"},
	} {
		_, err := deployments.Create(t.Context(), deployment(2, "echo:latest"), metav1.CreateOptions{})
		fatal(t, err)
		rolledOut(t, client, "default", "1")
		fatal(t, deployments.Delete(t.Context(), "echo", metav1.DeleteOptions{PropagationPolicy: &test.policy}))
		eventually(t, func() error {
			if _, err := deployments.Get(t.Context(), "echo", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("deleted %s, the deployment is still there: %v", test.policy, err)
			}
			return nil
		})
		if got := counts(t, client, "default"); got != test.left {
			t.Errorf("as the deployment went (%s) there were %s, want %s", test.policy, got, test.left)
		}
	}
	sets, err := client.AppsV1().ReplicaSets("default").List(t.Context(), metav1.ListOptions{})
	fatal(t, err)
	for _, rs := range sets.Items {
		if len(rs.OwnerReferences) != 0 {
			t.Errorf("orphan %s has the owner %v", rs.Name, rs.OwnerReferences)
		}
	}
	// A new Deployment with the same selector and template takes the orphan over.
	_, err = deployments.Create(t.Context(), deployment(2, "echo:latest"), metav1.CreateOptions{})
	fatal(t, err)
	rolledOut(t, client, "default", "1")
	wantCounts(t, client, "default", "1 sets, 2 pods")
}

func TestServiceGetsEndpointsAndNamespaceTakesAllAlong(t *testing.T) {
	client := newCluster(t).client
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = client.AppsV1().Deployments("shop").Create(t.Context(), deployment(2, "echo:latest"), metav1.CreateOptions{})
	fatal(t, err)
	_, err = client.CoreV1().Services("shop").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "echo"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "echo"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = client.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{})
	fatal(t, err)
	eventually(t, func() error {
		endpoints, err := client.CoreV1().Endpoints("shop").Get(t.Context(), "echo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		slices, err := client.DiscoveryV1().EndpointSlices("shop").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(endpoints.Subsets) != 1 || len(endpoints.Subsets[0].Addresses) != 2 || len(slices.Items) != 1 || len(slices.Items[0].Endpoints) != 2 {
			return fmt.Errorf("endpoints %+v, slices %+v", endpoints.Subsets, slices.Items)
		}
		return nil
	})
	fatal(t, client.CoreV1().Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{}))
	eventually(t, func() error {
		if ns, err := client.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the namespace is still there: %+v %v", ns.Status, err)
		}
		return nil
	})
	wantCounts(t, client, "shop", "0 sets, 0 pods")
	// The Services that have no selector keep the slices that others made.
	for ns, name := range map[string]string{"default": "kubernetes", "kube-system": "kube-dns"} {
		slices, err := client.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + name})
		fatal(t, err)
		if len(slices.Items) != 1 {
			t.Errorf("%s has %d slices, want the one of the API server's", name, len(slices.Items))
		}
	}
}
