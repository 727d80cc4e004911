package cli

import (
	"cmp"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/verdict"
	"github.com/kube-lite/kube-lite/why"
)

// cluster is where a test takes place, and what it did there.
type cluster struct {
	verdict.Cluster
	discovery discovery.DiscoveryInterface
	mapper    meta.ResettableRESTMapper
	applied   []verdict.Object
	created   []creation
	effects   effects // of the requests
}

// creation is an object that the run made.
type creation struct {
	verdict.Object
	uid types.UID
}

// connectTo makes the clients for a cluster. Nothing is asked yet.
func (t *test) connectTo(kubeconfig, context string) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, err
	}
	usual, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	c.Near, c.Namespace = !t.elsewhere(), cmp.Or(t.namespace, usual)
	config.WarningHandler = rest.NewWarningWriter(t.stderr, rest.WarningWriterOptions{Deduplicate: true})
	config.Wrap(c.effects.wrap)
	config.QPS, config.Burst = discoveryQPS, discoveryBurst
	if c.Near {
		config.QPS = -1
		c.Authorities = func() []byte {
			text, _ := os.ReadFile(t.cfg.IngressCAPath()) // made with the first Ingress; without it a certificate is unknown
			return text
		}
	}
	c.REST = config
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	c.Client, c.discovery = client, client.Discovery()
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.discovery))
	c.Explain = why.New(c.Client, c.Dynamic, t.commands(usual))
	return c, nil
}

// commands says how the commands in an explanation are written. Those for an instance that is about to be removed name
// none.
func (t *test) commands(namespace string) why.Options {
	opts := why.Options{Program: programName, Namespace: namespace}
	if t.elsewhere() {
		var flags []string
		for name, value := range map[string]string{"kubeconfig": t.kubeconfig, "context": t.context} {
			if value != "" {
				flags = append(flags, "--"+name+"="+value)
			}
		}
		opts.Flags = strings.Join(flags, " ")
	} else if t.keep {
		opts.Program += nameArgument(t.cfg)
	}
	return opts
}
