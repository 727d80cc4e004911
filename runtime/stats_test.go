package runtime

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	v1 "k8s.io/api/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

func TestRateIsUseOverTime(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	got := rate(cpuTime{time.Second, at}, cpuTime{2 * time.Second, at.Add(2 * time.Second)})
	if *got.UsageNanoCores != 500_000_000 || *got.UsageCoreNanoSeconds != 2_000_000_000 {
		t.Errorf("half a core is %d nanocores", *got.UsageNanoCores)
	}
	if got := rate(cpuTime{}, cpuTime{time.Second, at}); got.UsageNanoCores != nil {
		t.Errorf("one reading makes no rate: %d", *got.UsageNanoCores)
	}
	if got := rate(cpuTime{time.Hour, at}, cpuTime{0, at.Add(time.Second)}); got.UsageNanoCores != nil {
		t.Errorf("a clock that began anew makes no rate: %d", *got.UsageNanoCores)
	}
}

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
		if took := time.Since(began); took != sampleWindow {
			t.Errorf("three answers took %v", took)
		}
		r.after(sampleFresh)
		again := time.Now()
		r.ask("/stats/summary")
		if took := time.Since(again); took != sampleWindow {
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
