package runtime

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/stats"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	v1 "k8s.io/api/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// ask is a GET of the agent's HTTP API.
func (r *rig) ask(path string) *httptest.ResponseRecorder {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.agent.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		r.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w
}

func TestSummaryNamesThePodsThatRun(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{app("one"), app("two")} })
		r.pod("gone", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.exit("k8s_app_gone_ns_uid-gone_0", 0)
		r.settle()
		var got statsv1alpha1.Summary
		if err := json.Unmarshal(r.ask("/stats/summary").Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Node.NodeName != "node" || *got.Node.Memory.WorkingSetBytes == 0 || len(got.Pods) != 1 || got.Pods[0].PodRef.Name != "web" || len(got.Pods[0].Containers) != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestFiguresAreSampledOnceForAllWhoAsk(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		for range 3 {
			r.ask("/stats/summary")
		}
		if took := time.Since(began); took != stats.SampleWindow {
			t.Errorf("three answers took %v", took)
		}
		r.after(stats.SampleFresh)
		again := time.Now()
		r.ask("/stats/summary")
		if took := time.Since(again); took != stats.SampleWindow {
			t.Errorf("old figures were served, after %v", took)
		}
	})
}

func TestMetricsCanBeScraped(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		for path, family := range map[string]string{
			"/metrics":          "kubelet_running_pods",
			"/metrics/resource": "pod_memory_working_set_bytes",
			"/metrics/cadvisor": "container_spec_memory_limit_bytes",
		} {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(r.ask(path).Body)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if families[family] == nil || len(families[family].Metric) != 1 {
				t.Errorf("%s has no %s", path, family)
			}
		}
	})
}
