package e2e

import (
	"errors"
	"fmt"
	"net"
	"testing"
)

func TestLoadBalancersAnswerOnLocalhostWithTheirOwnPorts(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "balanced")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	balancer := func(name string) string {
		return toolPod(name, fmt.Sprintf(`http-serve, ":8080", %s`, name)) +
			service(name, fmt.Sprintf("type: LoadBalancer, selector: {app: %s}, ports: [{port: %d, targetPort: 8080}]", name, port))
	}
	address := func(name string) (at string) {
		t.Helper()
		eventually(t, func() error {
			ip := ns.value(t, "service/"+name, "{.status.loadBalancer.ingress[0].ip}")
			if ip == "" {
				return errors.New("no address yet")
			}
			at = net.JoinHostPort(ip, fmt.Sprint(port))
			return nil
		})
		return at
	}
	ns.apply(t, balancer("one")+balancer("two"))
	one, two := address("one"), address("two")
	if one == two {
		t.Fatalf("two Services answer at %s", one)
	}
	waitForAnswer(t, "http://"+one, "one")
	waitForAnswer(t, "http://"+two, "two")
	if l, err := net.Listen("tcp4", one); err == nil {
		l.Close()
		t.Errorf("another program can take %s unnoticed", one)
	}
	ns.must(t, "delete", "service", "one")
	eventually(t, func() error {
		l, err := net.Listen("tcp4", one)
		if err == nil {
			l.Close()
		}
		return err
	})
	waitForAnswer(t, "http://"+two, "two")
}
