package dns

import (
	"fmt"
	"net"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// city is a thousand Services.
func city() []runtime.Object {
	objects := []runtime.Object{newNamespace("default")}
	for i := range 1000 {
		objects = append(objects, newClusterIP(fmt.Sprintf("default/echo-%d", i), fmt.Sprintf("10.96.%d.%d", i/250+1, i%250+1),
			port("http", corev1.ProtocolTCP, 80)))
	}
	return objects
}

func cityQuery(b *testing.B) []byte {
	b.Helper()
	packed, err := newQuestion("echo-500.default.svc.cluster.local. A").SetEdns0(1232, false).Pack()
	if err != nil {
		b.Fatal(err)
	}
	return packed
}

// BenchmarkAnswer is a query from packet to packet, without sockets.
func BenchmarkAnswer(b *testing.B) {
	c := startCluster(b, nil, city()...)
	query := cityQuery(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, maxUDPReply)
		for pb.Next() {
			if reply, _ := c.begin(query, buf, false); len(reply) < len(query) {
				b.Errorf("short reply %x", reply)
				return
			}
		}
	})
}

// BenchmarkServeUDP has a few clients on loopback, each of which waits for its
// answer before it asks again.
func BenchmarkServeUDP(b *testing.B) {
	c := startCluster(b, nil, city()...)
	query := cityQuery(b)
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("udp", c.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		buf := make([]byte, maxUDPReply)
		for pb.Next() {
			if _, err := conn.Write(query); err != nil {
				b.Error(err)
				return
			}
			if _, err := conn.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkUpdate is what a change of one Service among a thousand costs.
func BenchmarkUpdate(b *testing.B) {
	c := startCluster(b, nil, city()...)
	changed := map[key]bool{{kindService, "default", "echo-500"}: true}
	b.ReportAllocs()
	for b.Loop() {
		c.watch.update(changed)
	}
}
