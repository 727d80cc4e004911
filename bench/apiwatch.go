package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	watchNamespace = "bench-watch"
	apiWatchers    = 1000
	// watchEvents are what each watcher waits for in a burst.
	watchEvents = 40
	watchBursts = 3
)

// fanOut is how long it takes from the first of some creates, one after the other, until all watchers have the last one,
// in ms; the median of some bursts.
func (l *apiLoad) fanOut(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var list corev1.ConfigMapList
	if err := l.rest.Get().Resource("configmaps").Namespace(watchNamespace).Do(ctx).Into(&list); err != nil {
		return 0, err
	}
	watches := make([]*bufio.Reader, apiWatchers)
	if _, err := rate(ctx, apiConnections, apiWatchers, func(_ context.Context, n int) error {
		stream, err := l.watch(ctx, list.ResourceVersion) // lives longer than what opens it
		watches[n-1] = bufio.NewReader(stream)
		return err
	}); err != nil {
		return 0, err
	}
	var took []float64
	for burst := range watchBursts {
		began := time.Now()
		if err := l.burst(ctx, fmt.Sprintf("burst-%d", burst), watches); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	return median(took), nil
}

// watch follows the ConfigMaps of the watches' namespace from a revision on, until ctx ends.
func (l *apiLoad) watch(ctx context.Context, revision string) (io.Reader, error) {
	return l.rest.Get().Resource("configmaps").Namespace(watchNamespace).
		Param("watch", "true").Param("resourceVersion", revision).
		SetHeader("Accept", runtime.ContentTypeProtobuf+";stream=watch").Stream(ctx)
}

// burst creates objects, and returns when each watch has had an event for each.
func (l *apiLoad) burst(ctx context.Context, name string, watches []*bufio.Reader) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range watches {
		group.Go(func() error { return skipEvents(w, watchEvents) })
	}
	group.Go(func() error {
		_, err := rate(ctx, 1, watchEvents, func(ctx context.Context, n int) error { return l.create(ctx, watchNamespace, name, n) })
		return err
	})
	return group.Wait()
}

// skipEvents reads events of a watch in protobuf: each is its length in four bytes, and as many bytes.
func skipEvents(watch *bufio.Reader, count int) error {
	for range count {
		var length [4]byte
		if _, err := io.ReadFull(watch, length[:]); err != nil {
			return fmt.Errorf("a watch ended: %w", err)
		}
		if _, err := watch.Discard(int(binary.BigEndian.Uint32(length[:]))); err != nil {
			return fmt.Errorf("a watch ended: %w", err)
		}
	}
	return nil
}
