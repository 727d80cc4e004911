package apiserver

import (
	"fmt"
	"net/netip"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ContextName is the name of an instance's context, cluster and user in a
// kubeconfig: kube-lite, or kube-lite-NAME for an instance with a name.
func ContextName(instance string) string {
	if instance == "default" {
		return "kube-lite"
	}
	return "kube-lite-" + instance
}

// Kubeconfig lets its holder do everything at the server at addr. The
// certificates are inside, so the file works from any folder.
// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
func (p *PKI) Kubeconfig(instance string, addr netip.AddrPort) *clientcmdapi.Config {
	name := ContextName(instance)
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   "https://" + addr.String(),
		CertificateAuthorityData: p.ca.certPEM,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: p.admin.certPEM,
		ClientKeyData:         p.admin.keyPEM,
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return config
}

// WriteKubeconfig writes Kubeconfig to path with mode 0600.
func (p *PKI) WriteKubeconfig(path, instance string, addr netip.AddrPort) error {
	text, err := clientcmd.Write(*p.Kubeconfig(instance, addr))
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	return writeSecret(path, text)
}
