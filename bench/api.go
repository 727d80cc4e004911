package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

// apiGroup is the name under which all figures of the comparison with kube-apiserver are chosen.
const apiGroup = "api"

// apiRest is how long a server is left alone before its memory is read.
const apiRest = 30 * time.Second

// A gauge says how the two servers' values make a ratio.
type gauge int

const (
	rateGauge  gauge = iota // ours to theirs, the more the better
	timeGauge               // theirs to ours: how many times as fast
	spaceGauge              // ours to theirs, the less the better
)

// apiRow is one line of the comparison.
type apiRow struct {
	name, what string
	unit       string // of what a turn measures
	gauge      gauge
	budget     float64
}

// apiRows are in the order in which they are measured.
var apiRows = []apiRow{
	{"start", "start-up", "s", timeGauge, 1},
	{"rest", "private memory at rest", "MB", spaceGauge, 0.3},
	{"create", "creates with 1 connection", "/s", rateGauge, 1.5},
	{"creates", "creates with 32 connections", "/s", rateGauge, 1.5},
	{"gets", "gets with 32 connections", "/s", rateGauge, 1},
	{"patches", "patches with 32 connections", "/s", rateGauge, 1},
	{"lists", "lists of 1,000 pods with 4 connections", "/s", rateGauge, 1},
	{"watches", "40 events to 1,000 watchers", "ms", timeGauge, 1},
	{"kind", "a new kind to the first object of it", "ms", timeGauge, 1},
	{"after", "private memory after that load", "MB", spaceGauge, 0.5},
}

// apiFigures are the rows as ratios to kube-apiserver with etcd.
func apiFigures() (all []figure) {
	race := &apiRace{}
	for _, r := range apiRows {
		all = append(all, figure{
			Name: apiGroup + "." + r.name, What: r.what + ", to kube-apiserver with etcd", Unit: "×",
			Budget: r.budget, AtLeast: r.gauge != spaceGauge,
			measure: func(ctx context.Context, b *bench) ([]float64, string, error) {
				race.once.Do(func() { race.err = b.raceAPI(ctx, race) })
				if race.err != nil {
					return nil, "", race.err
				}
				samples, note := race.row(r)
				return samples, note, nil
			},
		})
	}
	return all
}

// apiServer is one of the two that are compared, with data of its own.
type apiServer interface {
	// start returns when the server answers, with the time from the command until then.
	start(ctx context.Context) (time.Duration, error)
	config() (*rest.Config, error)
	// pids are the server's processes.
	pids() []int
	remove() error
}

// apiValues are what one turn of one server measured, by the name of the row.
type apiValues map[string]apiValue

// apiValue is what a row measured, in its unit, and what processor time the server used meanwhile, in seconds.
type apiValue struct{ measured, processor float64 }

// apiRace is all turns; one of each server for a round. It is run once for all rows.
type apiRace struct {
	once         sync.Once
	ours, theirs []apiValues
	err          error
}

// raceAPI has the two servers take turns, each alone on the machine; who begins changes.
func (b *bench) raceAPI(ctx context.Context, race *apiRace) error {
	if b.kubeAPIServer == "" || b.etcd == "" {
		return skipped("no kube-apiserver and etcd to compare with (-kube-apiserver, -etcd)")
	}
	for round := 1; round <= b.rounds; round++ {
		for turn := range 2 {
			ours := (round+turn)%2 == 0
			values, err := b.apiTurn(ctx, ours)
			if err != nil {
				return err
			}
			name, side := "kube-apiserver", &race.theirs
			if ours {
				name, side = "kube-lite", &race.ours
			}
			*side = append(*side, values)
			b.say(round, b.rounds, "%s: %s", name, values)
		}
	}
	return nil
}

func (b *bench) apiTurn(ctx context.Context, ours bool) (values apiValues, err error) {
	var server apiServer
	if ours {
		server, err = b.newInstance()
	} else {
		server, err = b.newPeer()
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.remove()) }()
	took, err := server.start(ctx)
	if err != nil {
		return nil, err
	}
	values = apiValues{"start": {measured: took.Seconds()}}
	config, err := server.config()
	if err != nil {
		return nil, err
	}
	load, err := newAPILoad(ctx, config)
	if err != nil {
		return nil, err
	}
	if values["rest"], err = restingMemory(ctx, server); err != nil {
		return nil, err
	}
	for _, step := range load.steps() {
		before := processorSeconds(server)
		measured, err := step.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.row, err)
		}
		values[step.row] = apiValue{measured, processorSeconds(server) - before}
	}
	load.close()
	values["after"], err = restingMemory(ctx, server)
	return values, err
}

// processorSeconds is what the server's processes have used. One that has died fails the next request.
func processorSeconds(server apiServer) (seconds float64) {
	for _, pid := range server.pids() {
		used, _ := cpuTimes(pid)
		seconds += used.own.Seconds()
	}
	return seconds
}

// restingMemory leaves the server alone for a while and returns the private memory of its processes, in MB.
func restingMemory(ctx context.Context, server apiServer) (megabytes apiValue, err error) {
	if err := sleep(ctx, apiRest); err != nil {
		return apiValue{}, err
	}
	for _, pid := range server.pids() {
		bytes, err := rssAnon(pid)
		if err != nil {
			return apiValue{}, err
		}
		megabytes.measured += float64(bytes) / 1e6
	}
	return megabytes, nil
}

// String lists the values in the order of the rows.
func (v apiValues) String() string {
	var parts []string
	for _, r := range apiRows {
		parts = append(parts, fmt.Sprintf("%s %s %s", r.name, number(v[r.name].measured), r.unit))
	}
	return strings.Join(parts, ", ")
}

// row is the ratio of each round, and the medians of both.
func (race *apiRace) row(r apiRow) (samples []float64, note string) {
	column := func(side []apiValues) (measured, processor []float64) {
		for _, v := range side {
			measured, processor = append(measured, v[r.name].measured), append(processor, v[r.name].processor)
		}
		return measured, processor
	}
	ours, oursUsed := column(race.ours)
	theirs, theirsUsed := column(race.theirs)
	samples = ratios(ours, theirs)
	if r.gauge == timeGauge {
		samples = ratios(theirs, ours)
	}
	note = fmt.Sprintf("medians: kube-lite %s %s, kube-apiserver %s %s", number(median(ours)), r.unit, number(median(theirs)), r.unit)
	if median(theirsUsed) > 0 {
		note += fmt.Sprintf("; processor time of the whole step %s s and %s s", number(median(oursUsed)), number(median(theirsUsed)))
	}
	return samples, note
}
