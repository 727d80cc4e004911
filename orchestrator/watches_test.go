package orchestrator_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// slowWatches delays what watches deliver and breaks each of them now and then, and counts the pods that are created.
type slowWatches struct {
	http.RoundTripper
	created *atomic.Int32
}

const (
	watchDelay  = 40 * time.Millisecond // at most, of each read
	watchBreaks = 15                    // one read in so many ends the watch
)

func (s slowWatches) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Query().Has("watch") {
		answer.Body = &slowBody{answer.Body}
	}
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pods") && answer.StatusCode == http.StatusCreated {
		s.created.Add(1)
	}
	return answer, nil
}

type slowBody struct{ io.ReadCloser }

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	time.Sleep(rand.N(watchDelay)) // this is the delay that the test is about
	if err == nil && rand.N(watchBreaks) == 0 {
		return 0, io.ErrUnexpectedEOF // what was read is lost, as on a broken connection
	}
	return n, err
}

func TestSlowAndBrokenWatchesMakeNoPodTwice(t *testing.T) {
	t.Parallel()
	var created atomic.Int32
	c := newCluster(t, func(config *rest.Config) {
		config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return slowWatches{inner, &created} })
	})
	deployments := c.client.AppsV1().Deployments("default")
	_, err := deployments.Create(t.Context(), deployment(10, "echo:latest"), metav1.CreateOptions{})
	fatal(t, err)
	rolledOut(t, c.client, "default", "1")
	for _, replicas := range []int{4, 12} {
		_, err := deployments.Patch(t.Context(), "echo", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas), metav1.PatchOptions{})
		fatal(t, err)
		wantCounts(t, c.client, "default", fmt.Sprintf("1 sets, %d pods", replicas))
		rolledOut(t, c.client, "default", "1")
	}
	if got := created.Load(); got != 18 { // 10, and 8 from 4 to 12
		t.Errorf("%d pods were created, want 18", got)
	}
}
