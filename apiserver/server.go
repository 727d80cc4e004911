package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	discovery "k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/capabilities"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kube-lite/kube-lite/store"
)

// NodePorts are allocated from this range, as the kube-apiserver's flag
// --service-node-port-range has it by default.
const (
	nodePortFirst = 30000
	nodePortCount = 2768
)

const (
	// eventTTL is how long events are kept, as on a kube-apiserver.
	eventTTL = time.Hour
	// shutdownGrace is how long requests in flight may take when the server
	// ends. Watches do not count: they are cut.
	shutdownGrace = 2 * time.Second
)

// Config says what a Server serves. All fields but OtherServiceCIDR, Audit, Encryption and Log
// are required.
type Config struct {
	// Store holds every object. The caller closes it after Run has returned.
	Store *store.Store
	// PKI signs and holds the server's certificates.
	PKI *PKI
	// ServiceCIDR is the range of ClusterIPs. Its first address is the
	// Service default/kubernetes, its tenth kube-system/kube-dns.
	ServiceCIDR netip.Prefix
	// OtherServiceCIDR is the range of the other IP family, which makes Services of two families possible. The default of
	// one that names none is the family of ServiceCIDR.
	OtherServiceCIDR netip.Prefix
	// DialNode opens a connection to the HTTP server of a node's agent (logs, exec,
	// attach, port-forward), by the node's name.
	DialNode func(ctx context.Context, node string) (net.Conn, error)
	// Audit records requests; the zero value none.
	Audit Audit
	// Encryption is what the store was opened with, or nil.
	Encryption *Encryption
	// Log receives what the server has to say; nil means slog.Default().
	Log *slog.Logger
}

// Server is a Kubernetes API server. It is made by New and served by Run.
type Server struct {
	cfg     Config
	generic *genericapiserver.GenericAPIServer
	// custom serves custom resources. What generic does not know is passed on to it.
	custom *customResources
	// aggregation has other servers answer for their groups.
	aggregation *aggregation
	memory      *MemoryListener
	loopback    *rest.Config
	rooms       *identities
	interim     *interim
	client      kubernetes.Interface
	shared      informers.SharedInformerFactory
	openAPI     *openAPIV3
	tokens      *tokens
	address     atomic.Value // string: the first listener's, known when Run is called

	// followers are the informers of the server's own; they run until follow ends, when Run has served the last request.
	follow    context.Context
	unfollow  context.CancelFunc
	followers sync.WaitGroup
	// late has the informers of what is built on its first use. They are not the shared ones: those are started before the
	// orchestrator builds upstream's controllers, which want the informers that they watch not to run yet.
	late       informers.SharedInformerFactory
	services   *serviceResolver
	flowConfig informers.SharedInformerFactory // of priority and fairness
}

// New composes the server over cfg.Store. It binds nothing and starts nothing,
// but it reads the stored Services to know which ClusterIPs and NodePorts are
// taken.
func New(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	// Privileged containers are allowed, as in every cluster that kubeadm makes. Upstream's validation keeps this
	// in one variable of the process: no two servers in it could differ.
	capabilities.Setup(true, 0)
	s := &Server{cfg: cfg, memory: NewMemoryListener()}
	s.follow, s.unfollow = context.WithCancel(context.Background())
	s.loopback = s.memory.clientConfig()
	client, err := kubernetes.NewForConfig(s.loopback)
	if err != nil {
		return nil, fmt.Errorf("apiserver: in-memory client: %w", err)
	}
	s.client = client
	s.late = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(dropManagedFields))
	s.services = &serviceResolver{informers: s.late, stop: s.follow.Done()}
	if s.rooms, err = newIdentities(s.loopback); err != nil {
		return nil, fmt.Errorf("apiserver: in-memory connection: %w", err)
	}
	watcher, err := kubernetes.NewForConfig(s.rooms.config(informersUser))
	if err != nil {
		return nil, fmt.Errorf("apiserver: client of the informers: %w", err)
	}
	s.shared = informers.NewSharedInformerFactoryWithOptions(watcher, 0, informers.WithTransform(dropManagedFields))

	if s.tokens, err = newTokens(cfg.PKI.tokens, client); err != nil {
		return nil, err
	}
	if err := enableFeatures(); err != nil {
		return nil, err
	}
	if s.interim, err = newInterim(newDefaultPolicy(), s.shared.Rbac().V1()); err != nil {
		return nil, err
	}
	config, err := s.genericConfig()
	if err != nil {
		return nil, err
	}
	if s.aggregation, err = s.newAggregation(*config); err != nil {
		return nil, err
	}
	s.custom = s.newCustomResources(*config)
	config.BuildHandlerChainFunc = s.aggregation.chain
	s.generic, err = config.Complete(s.shared).New("kube-lite", s.custom.delegate())
	if err != nil {
		return nil, fmt.Errorf("apiserver: compose: %w", err)
	}
	if err := s.installGroups(config); err != nil {
		return nil, err
	}
	s.describeAPI(config)
	s.rankGroups()
	if err := s.describeTokens(); err != nil {
		return nil, err
	}
	return s, s.awaitLate()
}

// awaitLate has nobody miss, when the server is ready, the kinds of the store and the groups of other servers, least of
// all the collector of garbage.
func (s *Server) awaitLate() error {
	err := errors.Join(
		s.generic.RegisterMuxAndDiscoveryCompleteSignal("custom-resources", s.custom.ready),
		s.generic.AddPostStartHook("custom-resources", waitFor(s.custom.ready)),
		s.generic.AddPostStartHook("apiservices", waitFor(s.aggregation.ready)),
	)
	if err != nil {
		return fmt.Errorf("apiserver: compose: %w", err)
	}
	return nil
}

// genericConfig is the generic server's configuration: everything that is not
// a resource.
func (s *Server) genericConfig() (*genericapiserver.Config, error) {
	c := genericapiserver.NewConfig(legacyscheme.Codecs)
	c.EffectiveVersion = effectiveVersion()
	c.AggregatedDiscoveryGroupManager = discovery.NewResourceManager("apis") // one for all kinds
	c.LoopbackClientConfig = s.loopback
	c.LegacyAPIGroupPrefixes = sets.NewString(genericapiserver.DefaultLegacyAPIPrefix)
	c.ExternalAddress = "127.0.0.1:0" // required, and replaced by what follows
	c.DiscoveryAddresses = s
	c.BuildHandlerChainFunc = handlerChain
	c.LongRunningFunc = genericfilters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"))

	namer := openapinamer.NewDefinitionNamer(legacyscheme.Scheme, extensions.Scheme, aggregatorscheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIConfig.Info.Title = "Kubernetes"
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIV3Config.Info.Title = "Kubernetes"
	c.SkipOpenAPIInstallation = true // see describeAPI

	c.Authentication.Authenticator = newAuthenticator(s.cfg.PKI, tokenunion.New(s.rooms, s.tokens.authenticator))
	c.Authentication.APIAudiences = s.tokens.audiences
	c.Authorization.Authorizer, c.RuleResolver = newAuthorizer(s.shared, s.interim)
	c.RESTOptionsGetter = builtinOptions(s.cfg.Store)
	if err := s.applyFlowControl(c); err != nil {
		return nil, err
	}
	if err := s.cfg.Audit.apply(c); err != nil {
		return nil, err
	}
	s.cfg.Encryption.apply(c)
	admit, err := s.admission(c)
	if err != nil {
		return nil, err
	}
	c.AdmissionControl = admit
	return c, nil
}

// ConfigFor connects a client to the server through memory as the user of this
// name: a ServiceAccount, a node agent, or anybody else. It works as soon as Run
// has been called.
func (s *Server) ConfigFor(user string) *rest.Config { return s.rooms.config(user) }

// Connect connects a client to the server through memory as a user who has been authenticated, with this user's groups and
// so with this user's rights. After release nothing that it sends is accepted.
func (s *Server) Connect(as user.Info) (config *rest.Config, release func()) {
	return s.rooms.connect(as)
}

// Handle serves a path that is no resource's, to whom the policy lets. The request's context has the user: see
// k8s.io/apiserver/pkg/endpoints/request. It may be called while the server runs.
func (s *Server) Handle(path string, handler http.Handler) {
	s.generic.Handler.NonGoRestfulMux.UnlistedHandle(path, handler)
}

// Client is the server's own, which may do everything.
func (s *Server) Client() kubernetes.Interface { return s.client }

// Informers are shared by the server's own admission and authorization and by
// every controller of the process. Whoever wires the process starts them, after Run.
func (s *Server) Informers() informers.SharedInformerFactory { return s.shared }

// SecretTokens signs the tokens of Secrets of type kubernetes.io/service-account-token, for the controller that fills them.
func (s *Server) SecretTokens() serviceaccount.TokenGenerator { return s.tokens.secrets }

// Run serves TLS on the listeners, and memory, until ctx ends. It closes the
// listeners. A server runs once.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	joined := joinListeners(listeners)
	s.address.Store(joined.Addr().String())
	prepared := s.generic.PrepareRun()
	prepared.ShutdownTimeout = shutdownGrace
	prepared.SecureServingInfo = &genericapiserver.SecureServingInfo{
		Listener: joined,
		Cert:     &s.cfg.PKI.serving,
		ClientCA: s.cfg.PKI.clientCA,
	}
	memory := &http.Server{
		Handler:     prepared.Handler,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return markInMemory(ctx) },
	}
	memoryDone := make(chan error, 1)
	go func() { memoryDone <- memory.Serve(s.memory) }()
	s.followers.Go(func() { s.custom.run(s.follow) })
	s.followers.Go(func() { s.aggregation.run(s.follow) })

	err := prepared.RunWithContext(ctx)
	s.Close()
	// Watches never end by themselves, so there is nothing to wait for.
	_ = memory.Close()
	if e := <-memoryDone; err == nil && !errors.Is(e, http.ErrServerClosed) {
		err = e
	}
	if err != nil {
		return fmt.Errorf("apiserver: serve: %w", err)
	}
	return nil
}

// Close ends what New began: informers on the store. Run does so at its end, and a server that never ran needs it before its store is
// closed. It may be called again.
func (s *Server) Close() {
	s.unfollow()
	s.late.Shutdown()
	s.flowConfig.Shutdown()
	s.followers.Wait()
}

// ServerAddressByClientCIDRs is discovery.Addresses: /api tells every client the
// first listener's address.
func (s *Server) ServerAddressByClientCIDRs(net.IP) []metav1.ServerAddressByClientCIDR {
	address, _ := s.address.Load().(string)
	return []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: address}}
}

// WaitReady returns when /readyz answers ok, or with ctx's error and the last
// answer.
func (s *Server) WaitReady(ctx context.Context) error {
	for {
		body, err := s.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("apiserver: not ready (%s): %w", strconv.Quote(string(body)), err)
		case <-time.After(readyInterval):
		}
	}
}

// readyInterval is short, since the user waits for it, and long enough not to
// compete for the CPU with the start-up itself.
const readyInterval = 10 * time.Millisecond
