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

// WriteKubeconfig writes Kubeconfig to path with mode 0600. What the user has
// set in the file stays: the context's namespace, other contexts, which one is
// current.
func (p *PKI) WriteKubeconfig(path, instance string, addr netip.AddrPort) error {
	fresh := p.Kubeconfig(instance, addr)
	config, err := clientcmd.LoadFromFile(path)
	if err != nil { // not there, or not readable as one
		config = clientcmdapi.NewConfig()
	}
	name := ContextName(instance)
	if had := config.Contexts[name]; had != nil {
		fresh.Contexts[name].Namespace = had.Namespace
	}
	config.Clusters[name] = fresh.Clusters[name]
	config.AuthInfos[name] = fresh.AuthInfos[name]
	config.Contexts[name] = fresh.Contexts[name]
	if config.CurrentContext == "" {
		config.CurrentContext = name
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	return writeSecret(path, text)
}
