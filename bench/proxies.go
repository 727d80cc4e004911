package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kube-lite/kube-lite/netproxy"
)

// proxyGroup is the name under which all figures of the comparison with kube-proxy are chosen.
const proxyGroup = "proxy"

// proxyRow is one line of the comparison. Its samples are what measureProxies sends, by the row's name.
type proxyRow struct {
	name, what, unit string
	budget           float64
	atLeast          bool
}

func firstSyncRow(mode netproxy.Mode, count int) string {
	return fmt.Sprintf("sync-%d-%s", count, mode)
}
func changeRow(mode netproxy.Mode) string { return "change-" + string(mode) }
func connectionsRow(count int) string     { return fmt.Sprintf("connections-%d", count) }

// changeTimeRow is the change with nftables, by its time.
const changeTimeRow = "change-time"

// proxyRows are in the order in which they are measured.
func proxyRows() (rows []proxyRow) {
	for _, count := range proxyCrowds {
		for _, mode := range proxyModes {
			rows = append(rows, proxyRow{
				name: firstSyncRow(mode, count), what: fmt.Sprintf("first sync of %d Services with %s, to kube-proxy", count, mode), unit: "×", budget: 0.7,
			})
		}
	}
	for _, mode := range proxyModes {
		rows = append(rows, proxyRow{
			name: changeRow(mode), what: fmt.Sprintf("a changed endpoint to the kernel, %d Services, %s, to kube-proxy", mostServices, mode), unit: "×", budget: 0.5,
		})
	}
	rows = append(rows, proxyRow{name: changeTimeRow, what: "the same with nftables, as a time", unit: "ms", budget: 20})
	for _, count := range []int{fewServices, mostServices} {
		rows = append(rows, proxyRow{
			name: connectionsRow(count), what: fmt.Sprintf("new connections a second through a ClusterIP, to straight to the pod, %d Services, nftables", count),
			unit: "×", budget: 0.95, atLeast: true,
		})
	}
	return rows
}

// proxyFigures are the rows. All of them come from one child in namespaces of its own.
func proxyFigures() (all []figure) {
	race := &proxyRace{}
	for _, r := range proxyRows() {
		all = append(all, figure{
			Name: proxyGroup + "." + r.name, What: r.what, Unit: r.unit, Budget: r.budget, AtLeast: r.atLeast,
			measure: func(ctx context.Context, b *bench) ([]float64, string, error) {
				race.once.Do(func() { race.values, race.err = b.raceProxies(ctx) })
				v := race.values[r.name]
				return v.Samples, v.Note, race.err
			},
		})
	}
	return all
}

// proxyRace is run once for all rows.
type proxyRace struct {
	once   sync.Once
	values map[string]proxyValues
	err    error
}

// proxyValues are the samples of a row, with what they alone don't say.
type proxyValues struct {
	Samples []float64
	Note    string
}

// raceProxies runs measureProxies in a network namespace of its own, which takes every rule with it when it ends: the
// programs there have the same devices, and the machine's own rules are in nobody's way.
func (b *bench) raceProxies(ctx context.Context) (values map[string]proxyValues, err error) {
	if b.kubeAPIServer == "" || b.etcd == "" || b.kubeProxy == "" {
		return nil, skipped("no kube-proxy, kube-apiserver and etcd to compare with (-kube-proxy, -kube-apiserver, -etcd)")
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", proxiesPart,
		fmt.Sprintf("-rounds=%d", b.rounds), "-kube-proxy="+b.kubeProxy, "-kube-apiserver="+b.kubeAPIServer, "-etcd="+b.etcd)
	var stdout strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends what it has started
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("in a network namespace: %w", err)
	}
	return values, json.Unmarshal([]byte(stdout.String()), &values)
}
