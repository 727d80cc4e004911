package main

import (
	"bufio"
	"strings"
	"testing"
)

func TestTheComparisonsRatiosSayHowManyTimesAsGood(t *testing.T) {
	race := &apiRace{
		ours:   []apiValues{{"x": {measured: 30, processor: 1}}, {"x": {measured: 20, processor: 1}}},
		theirs: []apiValues{{"x": {measured: 10, processor: 2}}, {"x": {measured: 40, processor: 2}}},
	}
	for g, want := range map[gauge][2]float64{rateGauge: {3, 0.5}, spaceGauge: {3, 0.5}, timeGauge: {1. / 3, 2}} {
		got, note := race.row(apiRow{name: "x", unit: "MB", gauge: g})
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("gauge %d: %v, want %v", g, got, want)
		}
		if want := "kube-lite 25.0 MB, kube-apiserver 25.0 MB; processor time of the whole step 1.00 s and 2.00 s"; !strings.Contains(note, want) {
			t.Errorf("the note %q lacks %q", note, want)
		}
	}
}

func TestEventsOfAWatchAreCounted(t *testing.T) {
	stream := "\x00\x00\x00\x03abc" + "\x00\x00\x00\x00" + "\x00\x00\x00\x02de"
	if err := skipEvents(bufio.NewReader(strings.NewReader(stream)), 3); err != nil {
		t.Errorf("three events: %v", err)
	}
	if err := skipEvents(bufio.NewReader(strings.NewReader(stream)), 4); err == nil {
		t.Error("a fourth event is found after the third")
	}
	if err := skipEvents(bufio.NewReader(strings.NewReader(stream[:len(stream)-1])), 3); err == nil {
		t.Error("half an event passes for one")
	}
}
