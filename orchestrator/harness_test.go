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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/orchestrator"
	"github.com/kube-lite/kube-lite/store"
)

// These tests run the loops against the API server and store of kube-lite, with a node agent that only pretends: its
// pods are ready at once.

const (
	testDeadline = time.Minute
	nodeName     = "node"
)

// cluster is an API server over a store in a temporary directory, the orchestrator, and the pretended node agent.
type cluster struct {
	t      testing.TB
	dir    string
	client kubernetes.Interface // without rate limit, as system:masters
	config *rest.Config         // likewise, for other kinds of clients
	end    func()
	pki    *apiserver.PKI
	addr   string // where the API is served over TLS

	// connect, if set, changes how the orchestrator that is started next reaches the API.
	connect func(*rest.Config)
	// kindsSync, if set, is that option of the orchestrator that is started next.
	kindsSync time.Duration
	// loopsRest likewise.
	loopsRest time.Duration
}

// newCluster starts one that ends with the test.
func newCluster(t testing.TB, connect ...func(*rest.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	for _, change := range connect {
		c.connect = change
	}
	c.start()
	t.Cleanup(func() { c.end() })
	return c
}

func (c *cluster) start() {
	t := c.t
	t.Helper()
	db, err := store.Open(filepath.Join(c.dir, "kube-lite.db"), store.Options{})
	fatal(t, err)
	pki, err := apiserver.OpenPKI(filepath.Join(c.dir, "pki"), nil)
	fatal(t, err)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	fatal(t, err)
	server, err := apiserver.New(apiserver.Config{
		Store: db, PKI: pki, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"),
		DialNode: func(context.Context, string) (net.Conn, error) { return nil, io.ErrUnexpectedEOF },
		Audit:    c.audit(),
	})
	fatal(t, err)
	c.client, c.pki, c.addr = server.Client(), pki, listener.Addr().String()
	signingCert, signingKey := pki.CAFiles()
	c.config, err = clientcmd.NewDefaultClientConfig(*pki.Kubeconfig("default", netip.MustParseAddrPort(c.addr)), nil).ClientConfig()
	fatal(t, err)
	c.config.QPS = -1
	as := func(user string) *rest.Config {
		config := server.ConfigFor(user)
		if c.connect != nil {
			c.connect(config)
		}
		return config
	}
	config, shared := as("system:kube-controller-manager"), server.Informers()
	if c.connect != nil {
		client, err := kubernetes.NewForConfig(config)
		fatal(t, err)
		shared = informers.NewSharedInformerFactory(client, 0)
	}
	o := orchestrator.New(config, shared, orchestrator.Options{
		RootCA: pki.CACertificate(), Tokens: server.SecretTokens(), VolumeDir: c.volumes(), ConfigFor: as,
		SigningCert: signingCert, SigningKey: signingKey, KindsSync: c.kindsSync, LoopsRest: c.loopsRest,
		OwnNode: func(node *corev1.Node) bool { return node.Name == nodeName },
	})
	node := newFakeNode(t, server.Client(), server.Informers().Core().V1().Pods().Informer())

	serving, endServing := context.WithCancel(context.Background())
	acting, endActing := context.WithCancel(context.Background())
	var servers, actors sync.WaitGroup
	servers.Go(func() { report(t, server.Run(serving, listener)) })
	c.end = func() {
		endActing()
		actors.Wait()
		endServing()
		servers.Wait()
		server.Informers().Shutdown()
		report(t, db.Close())
		c.wantNothingDenied()
	}
	ready, cancel := context.WithTimeout(serving, testDeadline)
	defer cancel()
	fatal(t, server.WaitReady(ready))
	fatal(t, server.Bootstrap(ready, apiserver.Endpoints{API: netip.MustParseAddrPort("10.244.0.1:6443"), DNS: netip.MustParseAddrPort("10.244.0.1:53")}))
	if shared != server.Informers() {
		server.Informers().Start(serving.Done())
	}
	actors.Go(func() { report(t, o.Run(acting)) })
	actors.Go(func() { node.run(acting) })
}

// volumes is where the directories of claims are.
func (c *cluster) volumes() string { return filepath.Join(c.dir, "pv") }

// namespace makes one for a test, or a case of it.
func (c *cluster) namespace(name string) string {
	c.t.Helper()
	_, err := c.client.CoreV1().Namespaces().Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	fatal(c.t, err)
	return name
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

// fakeNode is a node whose pods are ready as soon as they are bound and gone as soon as they are deleted. Pods whose
// first container has the command "exit" succeed at once, or fail when the argument is not 0.
type fakeNode struct {
	client kubernetes.Interface
	pods   chan *corev1.Pod
	ip     int
}

func newFakeNode(t testing.TB, client kubernetes.Interface, pods cache.SharedIndexInformer) *fakeNode {
	n := &fakeNode{client: client, pods: make(chan *corev1.Pod, 10000)}
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { n.pods <- obj.(*corev1.Pod) },
		UpdateFunc: func(_, obj any) { n.pods <- obj.(*corev1.Pod) },
	})
	fatal(t, err)
	return n
}

// newNode is a Node that is ready and has room.
func newNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{
				corev1.ResourcePods: resource.MustParse("500"), corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("8Gi"),
			},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

func (n *fakeNode) run(ctx context.Context) {
	_, _ = n.client.CoreV1().Nodes().Create(ctx, newNode(nodeName), metav1.CreateOptions{})
	var heart sync.WaitGroup
	defer heart.Wait()
	heart.Go(func() {
		lease.NewController(clock.RealClock{}, n.client, nodeName, 40, nil, 10*time.Second, nodeName, corev1.NamespaceNodeLease, nil).Run(ctx)
	})
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
	switch phase := wantedPhase(pod); {
	case pod.Spec.NodeName != nodeName:
	case pod.DeletionTimestamp != nil:
		_ = n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	case pod.Status.Phase == corev1.PodPending:
		n.ip++
		ready := corev1.ConditionTrue
		if phase != corev1.PodRunning {
			ready = corev1.ConditionFalse
		}
		patch := fmt.Sprintf(`{"metadata":{"uid":%[5]q},"status":{"phase":%[3]q,"podIP":"10.244.1.%[1]d","podIPs":[{"ip":"10.244.1.%[1]d"}],"conditions":[{"type":"Ready","status":%[4]q,"lastTransitionTime":%[2]q}]}}`,
			n.ip%250+1, time.Now().UTC().Format(time.RFC3339), phase, ready, pod.UID)
		_, _ = n.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	}
}

func wantedPhase(pod *corev1.Pod) corev1.PodPhase {
	first := pod.Spec.Containers[0]
	if len(first.Command) == 0 || first.Command[0] != "exit" {
		return corev1.PodRunning
	}
	if len(first.Args) > 0 && first.Args[0] != "0" {
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	eventuallyWithin(t, testDeadline, check)
}

func eventuallyWithin(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", limit, err)
		}
		time.Sleep(5 * time.Millisecond) // polls a condition
	}
}

// template is a pod of one container.
func template(labels map[string]string, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
}
