package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// machine is where the figures were taken.
type machine struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // kube-lite's
	CPUs    int       `json:"cpus"`
	CPU     string    `json:"cpu"`
	Kernel  string    `json:"kernel"`
	OS      string    `json:"os"`
	Docker  string    `json:"docker"`
	Storage string    `json:"storageDriver"`
	// Load is the load average before the first figure: what else the machine does is in every figure.
	Load string `json:"load"`
}

// report is what -json writes.
type report struct {
	Machine machine  `json:"machine"`
	Figures []result `json:"figures"`
}

func describe(ctx context.Context, b *bench) (machine, error) {
	m := machine{Time: time.Now().UTC().Truncate(time.Second), CPUs: goruntime.NumCPU(), CPU: cpuModel()}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, err
	}
	m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	version, err := exec.CommandContext(ctx, b.binary, "version").Output()
	if err != nil {
		return m, fmt.Errorf("%s version: %w: build it with scripts/build", b.binary, err)
	}
	m.Version, _, _ = strings.Cut(string(version), "\n")
	engine, err := docker.Connect(ctx, "", nil)
	if err != nil {
		return m, err
	}
	defer engine.Close()
	info, err := engine.Info(ctx)
	m.Docker, m.Storage, m.OS, m.Kernel = info.Version, info.StorageDriver, info.OS, info.KernelVersion
	return m, err
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return goruntime.GOARCH
}

// write prints the table, and the samples where jsonPath says.
func write(r report, jsonPath string) error {
	if jsonPath != "-" {
		if err := r.table(os.Stdout); err != nil {
			return err
		}
	}
	if jsonPath == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if jsonPath == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(jsonPath, text, 0o644)
}

func (r report) table(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s on %d × %s, Linux %s, %s, Docker %s (%s), load %s\n\n",
		m.Version, m.CPUs, m.CPU, m.Kernel, m.OS, m.Docker, m.Storage, m.Load)
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "WHAT\tBUDGET\tMEDIAN\tMIN–MAX\tVERDICT\n")
	for _, f := range r.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.What, f.budget(), f.measured(), f.spread(), f.Verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range r.Figures {
		if f.Note != "" {
			fmt.Fprintf(&text, "\n%s: %s", f.Name, f.Note)
		}
	}
	_, err := fmt.Fprintln(w, text.String())
	return err
}

func (r result) budget() string {
	sign := "<"
	if r.AtLeast {
		sign = "≥"
	} else if r.Unit == "×" {
		sign = "≤"
	}
	return fmt.Sprintf("%s %v %s", sign, r.Budget, r.Unit)
}

func (r result) measured() string {
	if len(r.Samples) == 0 {
		return "–"
	}
	return number(r.Median) + " " + r.Unit
}

func (r result) spread() string {
	if len(r.Samples) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s–%s (%d)", number(r.Min), number(r.Max), len(r.Samples))
}

// number has three digits that mean something.
func number(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
