package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	arv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/cert"
)

// hook is a webhook server that adds a label to what it is shown, and refuses what is called bad.
type hook struct {
	caBundle []byte
	addr     *net.TCPAddr
	mu       sync.Mutex // guards seen
	seen     []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.seen = append(h.seen, review.Request.Name)
	h.mu.Unlock()
	patch := admissionv1.PatchTypeJSONPatch
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: review.Request.Name != "bad"}
	switch {
	case !answer.Allowed:
		answer.Result = &metav1.Status{Message: "bad is bad"}
	case r.URL.Path == "/mutate":
		answer.PatchType, answer.Patch = &patch, []byte(`[{"op":"add","path":"/metadata/labels","value":{"hooked":"yes"}}]`)
	}
	review.Response = answer
	_ = json.NewEncoder(w).Encode(review)
}

// newHook serves one as webhook.default.svc.
func newHook(t *testing.T) *hook {
	h := &hook{}
	h.serve(t, h, &tls.Config{})
	return h
}

// serve has handler answer at an address of the machine's own, as webhook.default.svc.
func (h *hook) serve(t *testing.T, handler http.Handler, config *tls.Config) {
	t.Helper()
	pki, err := OpenPKI(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	address := ownAddress(t)
	pair, err := pki.create("hook", pki.ca, cert.Config{
		CommonName: "hook", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		AltNames: cert.AltNames{IPs: []net.IP{address}, DNSNames: []string{"webhook.default.svc"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: address})
	if err != nil {
		t.Fatal(err)
	}
	h.caBundle, h.addr = pki.CACertificate(), listener.Addr().(*net.TCPAddr)
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{pair.cert.Raw}, PrivateKey: pair.key}}
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
}

// ownAddress is one of this machine's that is not the loopback's, which no endpoint may have.
func ownAddress(t *testing.T) net.IP {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.To4()
		}
	}
	t.Fatal("this machine has no address but the loopback's")
	return nil
}

// service makes the Service webhook that leads to the hook.
func (h *hook) service(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	_, err := client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "webhook"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port, name := int32(h.addr.Port), "https"
	_, err = client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "webhook-1", Labels: map[string]string{discoveryv1.LabelServiceName: "webhook"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{h.addr.IP.String()}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// configMaps are the requests that the tests' webhooks and policies judge.
var configMaps = arv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}

func hookRules() []arv1.RuleWithOperations {
	return []arv1.RuleWithOperations{{Operations: []arv1.OperationType{arv1.Create}, Rule: configMaps}}
}

func createConfigMap(t *testing.T, client kubernetes.Interface, name string) (*corev1.ConfigMap, error) {
	t.Helper()
	return client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
}

func TestWebhooksAreReachedThroughAService(t *testing.T) {
	t.Parallel()
	client, h := serve(t, t.TempDir()).admin(t), newHook(t)
	h.service(t, client)
	none, path := arv1.SideEffectClassNone, "/mutate"
	to := arv1.WebhookClientConfig{CABundle: h.caBundle, Service: &arv1.ServiceReference{Namespace: "default", Name: "webhook", Path: &path}}
	_, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &arv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "label"},
		Webhooks: []arv1.MutatingWebhook{{
			Name: "label.example.com", ClientConfig: to, Rules: hookRules(), SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := createConfigMap(t, client, "good")
	if err != nil || made.Labels["hooked"] != "yes" {
		t.Fatalf("right after the webhook was registered: labels %v, %v", made.Labels, err)
	}
	url := fmt.Sprintf("https://%s/validate", h.addr)
	_, err = client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &arv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "judge"},
		Webhooks: []arv1.ValidatingWebhook{{
			Name: "judge.example.com", ClientConfig: arv1.WebhookClientConfig{CABundle: h.caBundle, URL: &url},
			Rules: hookRules(), SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = createConfigMap(t, client, "bad")
	if err == nil || !strings.Contains(err.Error(), `denied the request: bad is bad`) {
		t.Errorf("what a webhook refuses: %v", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.seen) < 2 {
		t.Errorf("the webhooks saw %v", h.seen)
	}
}

func TestAWebhookThatDoesNotAnswerGoesByItsFailurePolicy(t *testing.T) {
	t.Parallel()
	client := serve(t, t.TempDir()).admin(t)
	none, ignore := arv1.SideEffectClassNone, arv1.Ignore
	hooks := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	config, err := hooks.Create(t.Context(), &arv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "gone"},
		Webhooks: []arv1.ValidatingWebhook{{
			Name: "gone.example.com", ClientConfig: arv1.WebhookClientConfig{Service: &arv1.ServiceReference{Namespace: "default", Name: "nowhere"}},
			Rules: hookRules(), SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = createConfigMap(t, client, "a")
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), `failed calling webhook "gone.example.com"`) {
		t.Errorf("failurePolicy Fail: %v", err)
	}
	config.Webhooks[0].FailurePolicy = &ignore
	if _, err := hooks.Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	within(t, func() error { _, err := createConfigMap(t, client, "b"); return err })
}

func TestPoliciesJudgeAndChange(t *testing.T) {
	t.Parallel()
	client := serve(t, t.TempDir()).admin(t)
	match := &arv1.MatchResources{ResourceRules: []arv1.NamedRuleWithOperations{{RuleWithOperations: hookRules()[0]}}}
	registration := client.AdmissionregistrationV1()
	_, err := registration.ValidatingAdmissionPolicies().Create(t.Context(), &arv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "names"},
		Spec: arv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: match,
			Validations:      []arv1.Validation{{Expression: "object.metadata.name != 'bad'", Message: "bad is bad"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = registration.ValidatingAdmissionPolicyBindings().Create(t.Context(), &arv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "names"},
		Spec:       arv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "names", ValidationActions: []arv1.ValidationAction{arv1.Deny}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		_, err := createConfigMap(t, client, "bad")
		if apierrors.IsInvalid(err) && strings.Contains(err.Error(), `ValidatingAdmissionPolicy 'names' with binding 'names' denied request: bad is bad`) {
			return nil
		}
		_ = client.CoreV1().ConfigMaps("default").Delete(t.Context(), "bad", metav1.DeleteOptions{})
		return fmt.Errorf("what a policy refuses: %v", err)
	})
	never := arv1.NeverReinvocationPolicy
	_, err = registration.MutatingAdmissionPolicies().Create(t.Context(), &arv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "label"},
		Spec: arv1.MutatingAdmissionPolicySpec{
			MatchConstraints: match, ReinvocationPolicy: never,
			Mutations: []arv1.Mutation{{PatchType: arv1.PatchTypeApplyConfiguration, ApplyConfiguration: &arv1.ApplyConfiguration{
				Expression: `Object{metadata: Object.metadata{labels: {"policy": "yes"}}}`,
			}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = registration.MutatingAdmissionPolicyBindings().Create(t.Context(), &arv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "label"}, Spec: arv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "label"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		made, err := createConfigMap(t, client, "good")
		if err == nil && made.Labels["policy"] == "yes" {
			return nil
		}
		_ = client.CoreV1().ConfigMaps("default").Delete(t.Context(), "good", metav1.DeleteOptions{})
		return fmt.Errorf("what a policy labels: %v, %v", made.Labels, err)
	})
}

// within tries again until check succeeds, or fails after a while: upstream looks once a second for changed policies.
func within(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // polls a condition
	}
}
