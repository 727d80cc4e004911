package main

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// endpointsEach is how many endpoints each of a thousand Services has.
	endpointsEach = 3
	// creators is how many requests are under way at once while the crowd is made.
	creators = 16
)

// crowd is how many Services to make, with how many endpoints each; the first is number first.
type crowd struct{ first, services, endpoints int }

// createServices makes a crowd of Services with endpoints that nobody ever connects to: the addresses from address on.
func createServices(ctx context.Context, client kubernetes.Interface, address netip.Addr, c crowd) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for n := range c.services {
		slice := sliceOf(fmt.Sprintf("crowd-%d", c.first+n), 8080)
		for range c.endpoints {
			address = address.Next()
			slice.Endpoints = append(slice.Endpoints, endpoints(address)...)
		}
		group.Go(func() error {
			if _, err := client.CoreV1().Services(namespace).Create(ctx, selectorless(slice.Name), metav1.CreateOptions{}); err != nil {
				return err
			}
			_, err := client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}
