package apiserver

import (
	"context"
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// authenticationMap is the name of the ConfigMap that servers of other API groups read, in kube-system.
const authenticationMap = "extension-apiserver-authentication"

// bootstrapAuthentication tells servers of other API groups how they know a user: by the certificate of a client, or by
// headers, when the certificate is this server's. They read it from a ConfigMap, without which they don't start.
// https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#original-request-username-and-group
func (s *Server) bootstrapAuthentication(ctx context.Context) error {
	list := func(values ...string) string {
		data, _ := json.Marshal(values) // strings
		return string(data)
	}
	want := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: authenticationMap},
		Data: map[string]string{
			"client-ca-file":                     string(s.cfg.PKI.ca.certPEM),
			"requestheader-client-ca-file":       string(s.cfg.PKI.frontProxyCA.certPEM),
			"requestheader-allowed-names":        list(frontProxyName),
			"requestheader-username-headers":     list("X-Remote-User"),
			"requestheader-uid-headers":          list("X-Remote-Uid"),
			"requestheader-group-headers":        list("X-Remote-Group"),
			"requestheader-extra-headers-prefix": list("X-Remote-Extra-"),
		},
	}
	configMaps := s.client.CoreV1().ConfigMaps(want.Namespace)
	have, err := configMaps.Get(ctx, want.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = configMaps.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	if err != nil || maps.Equal(have.Data, want.Data) {
		return err
	}
	have.Data = want.Data
	_, err = configMaps.Update(ctx, have, metav1.UpdateOptions{})
	return err
}
