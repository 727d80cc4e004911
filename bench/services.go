package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// serviceCount is the design's.
	serviceCount = 1000
	// changesPerRound: a change is cheap beside the thousand Services that it needs.
	changesPerRound = 10
	// changePause keeps changes apart: each is measured alone, not as part of a burst, which is applied together.
	changePause = 300 * time.Millisecond
	// connectInterval is how often a connection is tried: fine beside the budget, and a twentieth of a core.
	connectInterval = time.Millisecond
	// connectLimit bounds one try; an address that nobody translates yet does not answer at all.
	connectLimit = time.Second
	probeName    = "probe"
	servicePort  = 80
)

// measureServices adds an endpoint to a Service and takes it away, again and again. Its ClusterIP refuses connections
// without one, and answers with it; both are rules in the kernel. The time runs from the request to the API.
func measureServices(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.withProbe(ctx, func(_ *instance, p *probe) error {
		changes := b.rounds * changesPerRound
		for n := range changes + 2 {
			took, err := p.change(ctx, n%2 == 0)
			if err != nil {
				return err
			}
			if n < 2 {
				continue // the first waits for the thousand before it
			}
			samples = append(samples, float64(took)/float64(time.Millisecond))
		}
		b.say(b.rounds, b.rounds, "%d changes, median %.1f ms", len(samples), median(samples))
		return nil
	})
	return samples, "from the request to the API until a TCP connection to the ClusterIP succeeds (endpoint added) or is refused (endpoint removed)", err
}

// probe is the Service that changes. Its endpoint is a socket of this process.
type probe struct {
	client kubernetes.Interface
	// address is the pod bridge's own, where the socket listens.
	address netip.Addr
	// pause keeps changes apart, and limit bounds one try of a connection.
	pause     time.Duration
	limit     time.Duration
	listener  net.Listener
	slice     *discoveryv1.EndpointSlice
	clusterIP netip.Addr
}

// withProbe has a probe used beside a thousand Services, on an instance that is started with flags.
func (b *bench) withProbe(ctx context.Context, use func(*instance, *probe) error, flags ...string) error {
	return b.with(ctx, func(i *instance) error {
		p := &probe{client: i.client, address: i.gateway(), pause: changePause, limit: connectLimit}
		if err := p.prepare(ctx); err != nil {
			return err
		}
		defer p.listener.Close()
		if err := createServices(ctx, i.client, p.address.Next(), crowd{services: serviceCount, endpoints: endpointsEach}); err != nil {
			return err
		}
		return use(i, p)
	}, flags...)
}

func (p *probe) prepare(ctx context.Context) (err error) {
	if p.listener, err = net.Listen("tcp4", netip.AddrPortFrom(p.address, 0).String()); err != nil {
		return err
	}
	go accept(p.listener)
	service, err := p.client.CoreV1().Services(namespace).Create(ctx, selectorless(probeName), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if p.clusterIP, err = netip.ParseAddr(service.Spec.ClusterIP); err != nil {
		return err
	}
	slice := sliceOf(probeName, int32(p.listener.Addr().(*net.TCPAddr).Port), p.address)
	slice.Endpoints = nil
	p.slice, err = p.client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{})
	return err
}

// accept ends when the listener is closed.
func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// change adds or removes the endpoint and waits for the kernel. The time begins with the request: its answer may come
// later than the rules.
func (p *probe) change(ctx context.Context, add bool) (time.Duration, error) {
	if err := sleep(ctx, p.pause); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.write(ctx, add); err != nil {
		return 0, err
	}
	err := p.await(ctx, add)
	return time.Since(began), err
}

// write adds or removes the endpoint.
func (p *probe) write(ctx context.Context, add bool) error {
	want := *p.slice
	want.Endpoints = nil
	if add {
		want.Endpoints = endpoints(p.address)
	}
	now, err := p.client.DiscoveryV1().EndpointSlices(namespace).Update(ctx, &want, metav1.UpdateOptions{})
	if err == nil {
		p.slice = now
	}
	return err
}

// await returns when the Service answers, or refuses.
func (p *probe) await(ctx context.Context, answer bool) error {
	began := time.Now()
	for {
		if answered, refused := p.connect(); answered && answer || refused && !answer {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%s: an endpoint was changed %v ago, and the kernel does not know", p.clusterIP, patience)
		}
		if err := sleep(ctx, connectInterval); err != nil {
			return err
		}
	}
}

// connect tries once.
func (p *probe) connect() (answered, refused bool) { return p.connectWithin(p.limit) }

func (p *probe) connectWithin(limit time.Duration) (answered, refused bool) {
	conn, err := net.DialTimeout("tcp4", netip.AddrPortFrom(p.clusterIP, servicePort).String(), limit)
	if err != nil {
		return false, errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close()
	return true, false
}

// selectorless is a Service whose endpoints are written by hand.
func selectorless(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: servicePort}}},
	}
}

func sliceOf(service string, port int32, addresses ...netip.Addr) *discoveryv1.EndpointSlice {
	name, protocol := "http", corev1.ProtocolTCP
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
		Endpoints:   endpoints(addresses...),
	}
}

func endpoints(addresses ...netip.Addr) (out []discoveryv1.Endpoint) {
	for _, a := range addresses {
		out = append(out, discoveryv1.Endpoint{Addresses: []string{a.String()}})
	}
	return out
}
