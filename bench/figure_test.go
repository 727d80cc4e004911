package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		if got := median(c.samples); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.samples, got, c.want)
		}
	}
}

func TestAVerdictSaysByHowMuchABudgetIsMissed(t *testing.T) {
	atMost, atLeast := figure{Budget: 50}, figure{Budget: 2, AtLeast: true}
	for _, c := range []struct {
		f      figure
		median float64
		want   string
	}{
		{atMost, 50, "met"},
		{atMost, 60, "missed by 20.0 %"},
		{atLeast, 2.5, "met"},
		{atLeast, 1.5, "missed by 25.0 %"},
	} {
		if got := c.f.verdict(c.median); got != c.want {
			t.Errorf("%v against a budget of %v (at least: %v): %q, want %q", c.median, c.f.Budget, c.f.AtLeast, got, c.want)
		}
	}
}

func TestRatiosAreTakenPairByPair(t *testing.T) {
	if got := ratios([]float64{3, 8}, []float64{2, 4}); got[0] != 1.5 || got[1] != 2 {
		t.Errorf("ratios = %v", got)
	}
}

func TestFiguresAreChosenByName(t *testing.T) {
	all := figures()
	chosen, err := choose(all, "dns,start")
	if err != nil || len(chosen) != 2 || chosen[0].Name != "dns" || chosen[1].Name != "start" {
		t.Errorf("dns,start chooses %v, %v", names(chosen), err)
	}
	if chosen, err := choose(all, ""); err != nil || len(chosen) != len(all) {
		t.Errorf("nothing chooses %v, %v", names(chosen), err)
	}
	if chosen, err := choose(all, "api"); err != nil || len(chosen) != len(apiRows) || chosen[0].Name != "api.start" {
		t.Errorf("api chooses %v, %v", names(chosen), err)
	}
	if _, err := choose(all, "dsn"); err == nil || !strings.Contains(err.Error(), "start,pods") {
		t.Errorf("a wrong name: %v", err)
	}
}

func TestTheTableShowsWhatWasMeasuredAndWhatWasNot(t *testing.T) {
	ratio := figure{What: "pods", Unit: "×", Budget: 1.15}
	r := report{Figures: []result{
		ratio.result([]float64{1.5, 1, 1.1}, ""),
		{What: "dns", Unit: "×", Budget: 1, AtLeast: true, Verdict: "not measured", Name: "dns", Note: "no CoreDNS"},
	}}
	var got bytes.Buffer
	if err := r.table(&got); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"WHAT  BUDGET    MEDIAN  MIN–MAX        VERDICT",
		"pods  ≤ 1.15 ×  1.10 ×  1.00–1.50 (3)  met",
		"dns   ≥ 1 ×     –       –              not measured",
		"",
		"dns: no CoreDNS",
		"",
	}, "\n")
	if _, table, _ := strings.Cut(got.String(), "\n\n"); table != want {
		t.Errorf("the table is\n%swant\n%s", table, want)
	}
}

func TestABenchmarksValueIsFoundByItsUnit(t *testing.T) {
	output := []byte("goos: linux\nBenchmarkCrowdReady/1x1000-2 \t       1\t7470000000 ns/op\t        14.04 cpu-s\t         7.470 s-to-ready\nPASS\n")
	if got, err := reportedValue(output, "s-to-ready"); err != nil || got != 7.47 {
		t.Errorf("reportedValue = %v, %v", got, err)
	}
	if got, err := reportedValue(output, "KB/pod"); err == nil || !strings.Contains(err.Error(), "no value in KB/pod") {
		t.Errorf("a unit that is not there: %v, %v", got, err)
	}
}

func TestProcIsRead(t *testing.T) {
	stat := "42 (a b) c) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 7 3 20 0 9 0 100 0 0"
	got, err := parseCPUTimes(stat)
	if want := (cpuTime{own: 2 * time.Second, children: 100 * time.Millisecond}); err != nil || got != want {
		t.Errorf("parseCPUTimes = %v, %v, want %v", got, err, want)
	}
	if _, err := parseCPUTimes("42 (a) S 1"); err == nil {
		t.Error("a short line is accepted")
	}
	bytes, err := parseRssAnon("VmRSS:\t  99 kB\nRssAnon:\t   2048 kB\nRssFile:\t 1 kB\n")
	if err != nil || bytes != 2<<20 {
		t.Errorf("parseRssAnon = %d, %v", bytes, err)
	}
	if _, err := parseRssAnon("VmRSS:\t  99 kB\n"); err == nil {
		t.Error("a status without RssAnon is accepted")
	}
}

func TestOwnTimeIsFinerThanATick(t *testing.T) {
	before, err := cpuTimes(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < clockTick/4; {
	}
	after, err := cpuTimes(os.Getpid())
	if used := after.own - before.own; err != nil || used <= 0 || used%clockTick == 0 {
		t.Errorf("a quarter of a tick's work took %v, %v", used, err)
	}
}
