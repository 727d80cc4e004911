package apiserver

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// convertShips writes the ports of ships in capitals in v2, and in small letters in v1.
func convertShips(w http.ResponseWriter, r *http.Request) {
	var review apiextensionsv1.ConversionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, o := range review.Request.Objects {
		ship := &unstructured.Unstructured{}
		if err := ship.UnmarshalJSON(o.Raw); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		port, _, _ := unstructured.NestedString(ship.Object, "spec", "port")
		write := strings.ToLower
		if strings.HasSuffix(review.Request.DesiredAPIVersion, "/v2") {
			write = strings.ToUpper
		}
		_ = unstructured.SetNestedField(ship.Object, write(port), "spec", "port")
		ship.SetAPIVersion(review.Request.DesiredAPIVersion)
		answer.ConvertedObjects = append(answer.ConvertedObjects, runtime.RawExtension{Object: ship})
	}
	review.Request, review.Response = nil, answer
	_ = json.NewEncoder(w).Encode(review)
}

// There are no rules for Services in this test: the hook is reached at its endpoint.
func TestAWebhookBehindAServiceConvertsCustomResources(t *testing.T) {
	t.Parallel()
	s, h := serve(t, t.TempDir()), &hook{}
	h.serve(t, http.HandlerFunc(convertShips), &tls.Config{})
	h.service(t, s.admin(t))
	c, ctx := s.custom(t), t.Context()
	crd := c.define()
	crd.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{
		Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{
			ClientConfig: &apiextensionsv1.WebhookClientConfig{
				CABundle: h.caBundle, Service: &apiextensionsv1.ServiceReference{Namespace: "default", Name: "webhook"},
			},
			ConversionReviewVersions: []string{"v1"},
		},
	}
	_, err := c.definitions.ApiextensionsV1().CustomResourceDefinitions().Update(ctx, crd, metav1.UpdateOptions{})
	c.must(err)
	c.create(c.v1(), ship("v1", "gull", map[string]any{"port": "bremen"}))
	got, err := c.v2().Get(ctx, "gull", metav1.GetOptions{})
	c.must(err)
	if port, _, _ := unstructured.NestedString(got.Object, "spec", "port"); port != "BREMEN" || got.GetAPIVersion() != "sea.example.com/v2" {
		t.Errorf("as v2 it is %v", got.Object)
	}
	c.create(c.v2(), ship("v2", "tern", map[string]any{"port": "KIEL"}))
	list, err := c.v1().List(ctx, metav1.ListOptions{})
	c.must(err)
	for _, ship := range list.Items {
		if port, _, _ := unstructured.NestedString(ship.Object, "spec", "port"); port != strings.ToLower(port) {
			t.Errorf("as v1 there is %v", ship.Object)
		}
	}
}
