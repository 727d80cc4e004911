package apiserver

import (
	"context"
	"net"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
)

// nodeConnection reaches the agents of nodes wherever Config.DialNode does.
type nodeConnection struct {
	transports *nodeTransports
	nodes      corelisters.NodeLister
}

// nodeTransports are those of the nodes that were asked for, by their names: connections are kept for one node.
type nodeTransports struct {
	dial   func(ctx context.Context, node string) (net.Conn, error)
	byName sync.Map
}

func (t *nodeTransports) of(node string) *http.Transport {
	if known, ok := t.byName.Load(node); ok {
		return known.(*http.Transport)
	}
	known, _ := t.byName.LoadOrStore(node, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx, node) },
	})
	return known.(*http.Transport)
}

func (s *Server) nodeConnection() nodeConnection {
	return nodeConnection{
		transports: &nodeTransports{dial: s.cfg.DialNode},
		nodes:      s.shared.Core().V1().Nodes().Lister(),
	}
}

// GetConnectionInfo is kubeletclient.ConnectionInfoGetter. Host and port only
// make the URL whole; but the proxy to a node refuses one whose name leads to
// localhost, as this machine's often does, so it is the node's address.
func (n nodeConnection) GetConnectionInfo(_ context.Context, name types.NodeName) (*kubeletclient.ConnectionInfo, error) {
	node, err := n.nodes.Get(string(name))
	if err != nil {
		return nil, err
	}
	host := node.Name
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			host = a.Address
		}
	}
	transport := n.transports.of(node.Name)
	return &kubeletclient.ConnectionInfo{
		Scheme:                         "http",
		Hostname:                       host,
		Port:                           "10250",
		Transport:                      transport,
		InsecureSkipTLSVerifyTransport: transport,
	}, nil
}
