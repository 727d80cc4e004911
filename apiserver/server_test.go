package apiserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/store"
)

var testCIDR = netip.MustParsePrefix("10.96.0.0/16")

// testServer is a server that runs over a store in dir.
type testServer struct {
	*Server
	addr netip.AddrPort
	pki  *PKI
	stop func()
}

// serve starts a server in dir, with the objects of the first moment.
func serve(t testing.TB, dir string, change ...func(*Config)) *testServer {
	t.Helper()
	return serveEncrypted(t, dir, "", change...)
}

// serveEncrypted is serve with --encryption-config.
func serveEncrypted(t testing.TB, dir, encryptionConfig string, change ...func(*Config)) *testServer {
	t.Helper()
	encryption, err := OpenEncryption(filepath.Join(dir, "encryption.yaml"), encryptionConfig)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(filepath.Join(dir, "kube-lite.db"), store.Options{Transformers: encryption})
	if err != nil {
		encryption.Close()
		t.Fatal(err)
	}
	pki, err := OpenPKI(filepath.Join(dir, "pki"), nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(listener.Addr().String())
	config := Config{Store: db, PKI: pki, ServiceCIDR: testCIDR, DialNode: nodeAgent(t), Encryption: encryption}
	for _, c := range change {
		c(&config)
	}
	server, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		server.Informers().Shutdown()
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
		encryption.Close()
	}
	t.Cleanup(stop)
	ready, cancelReady := context.WithTimeout(ctx, time.Minute)
	defer cancelReady()
	if err := server.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	if err := server.Bootstrap(ready, Endpoints{API: netip.MustParseAddrPort("10.244.0.1:6443"), DNS: netip.MustParseAddrPort("10.244.0.1:53")}); err != nil {
		t.Fatal(err)
	}
	return &testServer{server, addr, pki, stop}
}

// nodeAgent stands for the node agent: whatever it is asked, it has nothing to tell.
func nodeAgent(t testing.TB) func(context.Context, string) (net.Conn, error) {
	t.Helper()
	listener := NewMemoryListener()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return func(ctx context.Context, _ string) (net.Conn, error) { return listener.Dial(ctx) }
}

// adminConfig is a connection as a user has it: over TLS, with the kubeconfig.
func (s *testServer) adminConfig(t testing.TB) *rest.Config {
	t.Helper()
	config, err := clientcmd.NewDefaultClientConfig(*s.pki.Kubeconfig("default", s.addr), nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// admin is a client over adminConfig.
func (s *testServer) admin(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.adminConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestFirstMoment(t *testing.T) {
	s := serve(t, t.TempDir())
	client, ctx := s.admin(t), t.Context()

	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		ns, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if ns.Status.Phase != corev1.NamespaceActive {
			t.Errorf("namespace %s is %q, want Active", name, ns.Status.Phase)
		}
	}
	for key, want := range map[[2]string]string{
		{"default", "kubernetes"}:   "10.96.0.1",
		{"kube-system", "kube-dns"}: "10.96.0.10",
	} {
		svc, err := client.CoreV1().Services(key[0]).Get(ctx, key[1], metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if svc.Spec.ClusterIP != want {
			t.Errorf("Service %s has ClusterIP %s, want %s", key, svc.Spec.ClusterIP, want)
		}
		slice, err := client.DiscoveryV1().EndpointSlices(key[0]).Get(ctx, key[1], metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(slice.Endpoints) != 1 || len(slice.Ports) != len(svc.Spec.Ports) {
			t.Errorf("Service %s leads to %v ports %v", key, slice.Endpoints, slice.Ports)
		}
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != KubernetesVersion || version.Minor != "36" {
		t.Errorf("/version says %s (minor %s), want %s", version.GitVersion, version.Minor, KubernetesVersion)
	}
}

func TestWhoMayAskWhat(t *testing.T) {
	s := serve(t, t.TempDir())
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer anybody.CloseIdleConnections()
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/version": 200,
		"/api/v1/namespaces": 403, "/metrics": 403, "/openapi/v2": 403, "/": 403,
	} {
		resp, err := anybody.Get("https://" + s.addr.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("without a certificate GET %s answers %d, want %d", path, resp.StatusCode, want)
		}
	}

	stranger, err := OpenPKI(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign := *s
	foreign.pki = stranger
	config := foreign.pki.Kubeconfig("default", s.addr)
	config.Clusters["kube-lite"].CertificateAuthorityData = s.pki.ca.certPEM
	rest, err := clientcmd.NewDefaultClientConfig(*config, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(rest)
	if _, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("with another CA's certificate: %v, want Unauthorized", err)
	}

	body, err := s.admin(t).Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(body), "apiserver_request_total") {
		t.Errorf("/metrics as admin: error %v, %d bytes", err, len(body))
	}
}

func TestTheAPIDescribesItself(t *testing.T) {
	s := serve(t, t.TempDir())
	client := s.admin(t).Discovery().RESTClient()
	for path, want := range map[string]string{
		"/api":                     `"serverAddress":"` + s.addr.String() + `"`,
		"/openapi/v2":              `"io.k8s.api.apps.v1.Deployment"`,
		"/openapi/v3":              "apis/apps/v1",
		"/openapi/v3/apis/apps/v1": `"io.k8s.api.apps.v1.Deployment"`,
		"/api/v1":                  `"pods/ephemeralcontainers"`,
		"/livez":                   "ok",
		"/readyz":                  "ok",
	} {
		body, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("GET %s: %v, %d bytes without %s", path, err, len(body), want)
		}
	}
}

// Kinds without a controller are stored and shown as any API server would.
func TestEveryServedKindCanBeListed(t *testing.T) {
	s := serve(t, t.TempDir())
	_, lists, err := s.admin(t).Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]bool{}
	for _, list := range lists {
		group, _, _ := strings.Cut(list.GroupVersion, "/")
		groups[group] = true
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !strings.Contains(strings.Join(r.Verbs, ","), "list") {
				continue
			}
			path := "/apis/" + list.GroupVersion + "/" + r.Name
			if list.GroupVersion == "v1" {
				path = "/api/v1/" + r.Name
			}
			if err := s.admin(t).Discovery().RESTClient().Get().AbsPath(path).Do(t.Context()).Error(); err != nil {
				t.Errorf("list %s: %v", path, err)
			}
		}
	}
	for _, group := range []string{
		"v1", "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io", "policy",
		"autoscaling", "discovery.k8s.io", "events.k8s.io", "coordination.k8s.io", "scheduling.k8s.io",
		"authentication.k8s.io", "authorization.k8s.io", "node.k8s.io", "metrics.k8s.io",
	} {
		if !groups[group] {
			t.Errorf("API group %q is not served", group)
		}
	}
}

func TestObjectsAndAllocationsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir)
	ctx := t.Context()
	nodePort := func(name string, port int32) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.ServiceSpec{
				Type:     corev1.ServiceTypeNodePort,
				Selector: map[string]string{"app": "echo"},
				Ports:    []corev1.ServicePort{{Port: 80, NodePort: port}},
			},
		}
	}
	before, err := first.admin(t).CoreV1().Services("default").Create(ctx, nodePort("echo", 30080), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first.stop()

	client := serve(t, dir).admin(t)
	after, err := client.CoreV1().Services("default").Get(ctx, "echo", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.UID != before.UID || after.Spec.ClusterIP != before.Spec.ClusterIP {
		t.Errorf("after the restart: %s %s, want %s %s", after.UID, after.Spec.ClusterIP, before.UID, before.Spec.ClusterIP)
	}
	_, err = client.CoreV1().Services("default").Create(ctx, nodePort("thief", 30080), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "provided port is already allocated") {
		t.Errorf("a NodePort that is taken: %v, want Kubernetes' refusal", err)
	}
	same := nodePort("same-ip", 0)
	same.Spec.ClusterIP = before.Spec.ClusterIP
	_, err = client.CoreV1().Services("default").Create(ctx, same, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "already allocated") {
		t.Errorf("a ClusterIP that is taken: %v, want Kubernetes' refusal", err)
	}
}

func TestServerSideApplyAndPatch(t *testing.T) {
	client, ctx := serve(t, t.TempDir()).admin(t), t.Context()
	manifest := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"1"}}`
	made, err := client.CoreV1().ConfigMaps("default").Patch(ctx, "c", types.ApplyPatchType, []byte(manifest),
		metav1.PatchOptions{FieldManager: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if made.Data["k"] != "1" || len(made.ManagedFields) == 0 {
		t.Errorf("server-side apply made %v, managed by %v", made.Data, made.ManagedFields)
	}
	_, err = client.CoreV1().ConfigMaps("default").Patch(ctx, "c", types.ApplyPatchType,
		[]byte(strings.Replace(manifest, `"1"`, `"2"`, 1)), metav1.PatchOptions{FieldManager: "other"})
	if !apierrors.IsConflict(err) {
		t.Errorf("another manager's apply: %v, want a conflict", err)
	}
}

// robot is a Pod that the API takes: its ServiceAccount is there.
func robot(t *testing.T, client kubernetes.Interface) *corev1.Pod {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
		ServiceAccountName: "robot",
		Containers:         []corev1.Container{{Name: "c", Image: "x"}},
	}}
}

func TestPrivilegedContainersAreAllowed(t *testing.T) {
	client := serve(t, t.TempDir()).admin(t)
	pod, yes := robot(t, client), true
	pod.Spec.HostNetwork, pod.Spec.Containers[0].SecurityContext = true, &corev1.SecurityContext{Privileged: &yes}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

func TestAnInvalidPodIsRejectedWithKubernetesWords(t *testing.T) {
	client := serve(t, t.TempDir()).admin(t)
	pod := robot(t, client)
	pod.Spec.Containers[0].Name = "UPPER"
	_, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `spec.containers[0].name: Invalid value: "UPPER"`) {
		t.Errorf("got %v", err)
	}
	pod.Spec.Containers[0].Name = "lower"
	_, err = client.CoreV1().Pods("nowhere").Create(t.Context(), pod, metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `namespaces "nowhere" not found`) {
		t.Errorf("in a namespace that is not there: %v", err)
	}
}
