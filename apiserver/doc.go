// Package apiserver serves the Kubernetes API.
//
// It composes the registries that kube-apiserver itself is made of
// (k8s.io/kubernetes/pkg/registry) over the generic API server
// (k8s.io/apiserver) and a [store.Store] in place of etcd. So defaulting,
// validation, patches, server-side apply, tables and discovery are upstream's
// own, to the word.
//
// The package owns the certificates, the kubeconfig and the objects that every
// cluster has from its first moment: the four namespaces and the Services
// default/kubernetes and kube-system/kube-dns. It never starts a container and
// runs no controller.
//
//	server, err := apiserver.New(cfg)         // builds everything, serves nothing
//	go server.Run(ctx, listeners...)          // TLS on each listener, plus memory
//	err = server.Bootstrap(ctx, endpoints)    // the objects of the first moment
//	client := kubernetes.NewForConfig(server.ConfigFor("system:kube-scheduler"))
//
// Clients inside the process connect through memory ([Server.ConfigFor]), each
// as the user that it is in other clusters: protobuf, no TCP, no TLS, no rate
// limit. Everybody else presents a client certificate that the instance's own CA
// signed, or a ServiceAccount's token. Who may do what is upstream's Node
// authorizer's and RBAC's to say, with its default roles.
package apiserver
