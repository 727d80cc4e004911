package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"
)

const (
	// endpointsEach is how many endpoints a Service of the crowd has.
	endpointsEach = 3
	// creators is how many requests are under way at once while the crowd is made.
	creators = 16
)

// createServices makes a crowd of Services with endpoints that nobody ever connects to.
func (i *instance) createServices(ctx context.Context, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	address := i.gateway()
	for n := range count {
		slice := sliceOf(fmt.Sprintf("crowd-%d", n), 8080)
		for range endpointsEach {
			address = address.Next()
			slice.Endpoints = append(slice.Endpoints, endpoints(address)...)
		}
		group.Go(func() error {
			if _, err := i.client.CoreV1().Services(namespace).Create(ctx, selectorless(slice.Name), metav1.CreateOptions{}); err != nil {
				return err
			}
			_, err := i.client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}
