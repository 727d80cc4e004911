package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/store"
)

// apiPortTries is how many ports after the default one are tried.
const apiPortTries = 100

// openStore opens the store with the keys for what is encrypted in it.
func (d *daemon) openStore() error {
	var err error
	if d.encryption, err = apiserver.OpenEncryption(d.cfg.path(encryptionFile), d.cfg.EncryptionConfig); err != nil {
		return err
	}
	d.store, err = store.Open(d.cfg.path(storeFile), store.Options{Transformers: d.encryption, Log: d.cfg.Log})
	if errors.Is(err, store.ErrKey) {
		return d.encryption.Explain(err)
	}
	return err
}

// openServer opens the store and composes the API server over it.
func (d *daemon) openServer() error {
	err := d.openStore()
	if err != nil {
		return err
	}
	families := d.settings.families()
	var ips []net.IP
	for _, f := range families {
		ips = append(ips, net.IP(f.gateway().AsSlice()), net.IP(apiserver.KubernetesIP(f.services).AsSlice()))
	}
	config := apiserver.Config{
		Store: d.store, ServiceCIDR: families[0].services,
		DialNode: d.nodes.dial, Audit: d.cfg.Audit, Encryption: d.encryption, Log: d.cfg.Log,
	}
	if len(families) > 1 {
		config.OtherServiceCIDR = families[1].services
	}
	if d.pki, err = apiserver.OpenPKI(d.cfg.path(pkiDir), ips, d.nodeName); err != nil {
		return err
	}
	config.PKI = d.pki
	d.server, err = apiserver.New(config)
	return err
}

// serve binds the API server to localhost and the pod bridge and waits until
// it answers.
func (d *daemon) serve(ctx context.Context) error {
	listeners, port, err := listenAPI(d.cfg.APIPort, d.settings.APIPort, d.gateways())
	if err != nil {
		return err
	}
	d.settings.APIPort = port
	if err := d.settings.save(d.cfg); err != nil {
		return err
	}
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	d.info.APIServer = "https://" + local.String()
	writeKubeconfig := func() error { return d.pki.WriteKubeconfig(d.cfg.KubeconfigPath(), d.cfg.Name, local) }
	if err := writeKubeconfig(); err != nil {
		return err
	}
	d.rooms.start("API server", func(ctx context.Context) error { return d.server.Run(ctx, listeners...) })
	d.rooms.start("certificates", func(ctx context.Context) error { return d.pki.Run(ctx, writeKubeconfig) })
	if err := d.server.WaitReady(ctx); err != nil {
		return err
	}
	return d.lock.describe(d.info)
}

// listenAPI binds one port on localhost and on the gateways. A port that was
// asked for is the only one tried; else the one of the last start, then the
// default and those after it.
func listenAPI(asked, last int, gateways []netip.Addr) ([]net.Listener, int, error) {
	tries := []int{asked}
	if asked == 0 {
		tries = tries[:0]
		if last != 0 {
			tries = append(tries, last)
		}
		for i := range apiPortTries {
			tries = append(tries, DefaultAPIPort+i)
		}
	}
	var err error
	for _, port := range tries {
		var listeners []net.Listener
		if listeners, err = listenAll(port, gateways); err == nil {
			return listeners, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) && asked != 0 {
		err = fmt.Errorf("port %d is taken by another process: choose another with --api-port: %w", asked, err)
	}
	return nil, 0, fmt.Errorf("API server: %w", err)
}

func listenAll(port int, gateways []netip.Addr) (listeners []net.Listener, err error) {
	for _, at := range append([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, gateways...) {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(at, uint16(port)).String())
		if err != nil {
			for _, other := range listeners {
				_ = other.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// serveNode answers with the node agent's handler on l, where the API server
// finds it, until ctx ends. Streams in progress are cut: their containers are
// about to stop.
func serveNode(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	_ = server.Close()
	<-done
	return nil
}

// nodeName is the Node's name: the machine's, as a DNS name.
// https://kubernetes.io/docs/concepts/architecture/nodes/#node-name-uniqueness
func nodeName(host string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return '-'
	}, host)
	var labels []string
	for label := range strings.SplitSeq(name, ".") {
		if label = strings.Trim(label, "-"); label != "" {
			labels = append(labels, label)
		}
	}
	name = strings.Join(labels, ".")
	// It is the value of a label of the Node, too.
	name = strings.Trim(name[:min(len(name), validation.LabelValueMaxLength)], "-.")
	return cmp.Or(name, "localhost")
}
