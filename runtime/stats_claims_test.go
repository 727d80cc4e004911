package runtime

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	v1 "k8s.io/api/core/v1"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

func TestSummaryTellsOfClaims(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		fill(t, filepath.Join(dir, "x"), 3<<20)
		r.claim("it", localPV(dir), nil)
		r.claim("unused", localPV(dir), nil)
		for _, name := range []string{"one", "two"} {
			r.pod(name, func(p *v1.Pod) {
				mounting(claimSource("it"))(p)
				p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: "unused", VolumeSource: claimSource("unused")})
			})
		}
		for _, p := range r.summary("/stats/summary").Pods {
			if len(p.VolumeStats) != 1 {
				t.Fatalf("%s has figures of %+v", p.PodRef.Name, p.VolumeStats)
			}
			v := p.VolumeStats[0]
			if v.Name != "data" || v.PVCRef == nil || *v.PVCRef != (statsv1alpha1.PVCReference{Namespace: "ns", Name: "it"}) {
				t.Errorf("%s: %+v", p.PodRef.Name, v)
			}
			if *v.UsedBytes>>20 != 3 || *v.InodesUsed != 2 || *v.CapacityBytes <= *v.AvailableBytes || *v.AvailableBytes == 0 || *v.Inodes == 0 || *v.InodesFree == 0 {
				t.Errorf("%s: %+v", p.PodRef.Name, v.FsStats)
			}
			if e := p.EphemeralStorage; e != nil && *e.UsedBytes>>20 >= 3 {
				t.Errorf("%s: a claim counts as ephemeral storage: %d", p.PodRef.Name, *e.UsedBytes)
			}
		}
	})
}

func TestMetricsTellOfEachClaimOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir := t.TempDir()
		fill(t, filepath.Join(dir, "x"), 1<<20)
		r.claim("it", localPV(dir), nil)
		for _, name := range []string{"one", "two"} {
			r.pod(name, mounting(claimSource("it")))
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(r.ask("/metrics").Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"capacity_bytes", "available_bytes", "used_bytes", "inodes", "inodes_free", "inodes_used"} {
			family := families["kubelet_volume_stats_"+name]
			if family == nil || len(family.Metric) != 1 || family.Metric[0].Gauge.GetValue() <= 0 {
				t.Errorf("%s: %v", name, family)
				continue
			}
			var labels []string
			for _, l := range family.Metric[0].Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if !slices.Equal(labels, []string{"namespace=ns", "persistentvolumeclaim=it"}) {
				t.Errorf("%s has labels %q", name, labels)
			}
		}
		if got := families["kubelet_volume_stats_used_bytes"].Metric[0].Gauge.GetValue(); int(got)>>20 != 1 {
			t.Errorf("%v bytes are used", got)
		}
	})
}
