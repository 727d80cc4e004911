package stats

import (
	"testing"
	"time"
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
