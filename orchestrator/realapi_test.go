package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/orchestrator"
	"github.com/kube-lite/kube-lite/store"
)

// These tests run the controllers against the API server and store of kube-lite,
// with a node agent that only pretends: its pods are ready at once.

const (
	testDeadline = time.Minute
	nodeName     = "node"
)

// cluster starts an API server over a store in a temporary directory, the
// orchestrator, and the fake node agent; all end with the test.
func cluster(t testing.TB) kubernetes.Interface {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(filepath.Join(dir, "kube-lite.db"), store.Options{})
	fatal(t, err)
	pki, err := apiserver.OpenPKI(filepath.Join(dir, "pki"), nil)
	fatal(t, err)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	fatal(t, err)
	address := netip.MustParseAddrPort(listener.Addr().String())
	server, err := apiserver.New(apiserver.Config{
		Store: db, PKI: pki, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"),
		DialNode: func(context.Context) (net.Conn, error) { return nil, io.ErrUnexpectedEOF },
	})
	fatal(t, err)
	o := orchestrator.New(server.LoopbackConfig(), server.Informers(), orchestrator.Options{
		RootCA: pki.CACertificate(), Tokens: server.SecretTokens(), VolumeDir: filepath.Join(dir, "pv"),
	})
	user := userClient(t, pki, address)
	node := newFakeNode(t, user, server.Informers().Core().V1().Pods().Informer())

	serving, endServing := context.WithCancel(context.Background())
	acting, endActing := context.WithCancel(context.Background())
	var servers, actors sync.WaitGroup
	servers.Go(func() { report(t, server.Run(serving, listener)) })
	t.Cleanup(func() {
		endActing()
		actors.Wait()
		endServing()
		servers.Wait()
		server.Informers().Shutdown()
		report(t, db.Close())
	})
	ready, cancel := context.WithTimeout(serving, testDeadline)
	defer cancel()
	fatal(t, server.WaitReady(ready))
	fatal(t, server.Bootstrap(ready, apiserver.Endpoints{API: netip.MustParseAddrPort("10.244.0.1:6443"), DNS: netip.MustParseAddrPort("10.244.0.1:53")}))
	server.Informers().Start(serving.Done())
	actors.Go(func() { report(t, o.Run(acting)) })
	actors.Go(func() { node.run(acting) })
	return user
}

// userClient connects as a user does: over TLS, with the kubeconfig.
func userClient(t testing.TB, pki *apiserver.PKI, address netip.AddrPort) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.NewDefaultClientConfig(*pki.Kubeconfig("default", address), nil).ClientConfig()
	fatal(t, err)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	fatal(t, err)
	return client
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func report(t testing.TB, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// fakeNode is a node whose pods are ready as soon as they are bound and gone as
// soon as they are deleted.
type fakeNode struct {
	client kubernetes.Interface
	pods   chan *corev1.Pod
	ip     int
}

func newFakeNode(t testing.TB, client kubernetes.Interface, pods cache.SharedIndexInformer) *fakeNode {
	n := &fakeNode{client: client, pods: make(chan *corev1.Pod, 1000)}
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { n.pods <- obj.(*corev1.Pod) },
		UpdateFunc: func(_, obj any) { n.pods <- obj.(*corev1.Pod) },
	})
	fatal(t, err)
	return n
}

func (n *fakeNode) run(ctx context.Context) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}}
	node, err := n.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return
	}
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("500"), corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("8Gi")}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	_, _ = n.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	for {
		select {
		case <-ctx.Done():
			return
		case pod := <-n.pods:
			n.sync(ctx, pod)
		}
	}
}

func (n *fakeNode) sync(ctx context.Context, pod *corev1.Pod) {
	switch {
	case pod.Spec.NodeName == "":
	case pod.DeletionTimestamp != nil:
		_ = n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	case pod.Status.Phase != corev1.PodRunning:
		n.ip++
		patch := fmt.Sprintf(`{"status":{"phase":"Running","podIP":"10.244.1.%[1]d","podIPs":[{"ip":"10.244.1.%[1]d"}],"conditions":[{"type":"Ready","status":"True","lastTransitionTime":%[2]q}]}}`,
			n.ip%250+1, time.Now().UTC().Format(time.RFC3339))
		_, _ = n.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	}
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(testDeadline)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", testDeadline, err)
		}
		time.Sleep(5 * time.Millisecond) // polls a condition
	}
}

func deployment(replicas int32, image string) *appsv1.Deployment {
	labels := map[string]string{"app": "echo"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "echo", Annotations: map[string]string{"kubernetes.io/change-cause": "create"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "echo", Image: image}}},
			},
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

func TestRealAPIDeploymentRollsOutUndoesAndGoes(t *testing.T) {
	client := cluster(t)
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
	change(`{"spec":{"template":{"spec":{"containers":[{"name":"echo","image":"echo:patched"}]}}}}`)
	rolledOut(t, client, "default", "2")
	wantCounts(t, client, "default", "2 sets, 4 pods")
	change(`{"spec":{"template":{"spec":{"containers":[{"name":"echo","image":"echo:latest"}]}}}}`)
	rolledOut(t, client, "default", "3")
	wantCounts(t, client, "default", "2 sets, 4 pods")

	fatal(t, deployments.Delete(t.Context(), "echo", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	wantCounts(t, client, "default", "0 sets, 0 pods")
}

func TestRealAPIForegroundAndOrphanDeletion(t *testing.T) {
	client := cluster(t)
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

func TestRealAPIServiceGetsEndpointsAndNamespaceTakesAllAlong(t *testing.T) {
	client := cluster(t)
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
