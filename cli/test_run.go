package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/term"

	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/manifest"
	"github.com/kube-lite/kube-lite/verdict"
)

const (
	// keepLimit bounds the writing of logs.
	keepLimit = time.Minute
	// removeLimit bounds the removal: of an instance whose pods take the default grace of 30 s, and of objects elsewhere.
	removeLimit = 2 * time.Minute
)

// run is the whole story. It returns the exit code.
func (t *test) run(ctx context.Context) (code int) {
	t.style = styleOf(t.stdout)
	t.report = verdict.NewReport(t.stdout, t.style, int(os.Stdout.Fd()))
	defer t.report.End()
	var err error
	if t.input, err = t.readManifests(); err != nil {
		return t.fail(exitManifests, err)
	}
	if !t.sound(nil) {
		return exitManifests
	}
	if err = t.checkJobs(); err != nil {
		return t.fail(exitManifests, err)
	}
	defer func() { // also when something panics
		if err := t.remove(); err != nil && code == exitOK {
			code = t.fail(exitMachine, err)
		} else if err != nil {
			t.fail(exitMachine, err)
		}
		t.say(ctx, code)
	}()
	if err := t.connect(ctx); ctx.Err() != nil {
		return exitMachine // what else went wrong is of the interruption
	} else if err != nil {
		return t.fail(exitMachine, err)
	}
	results, code := t.judge(ctx)
	if ctx.Err() == nil {
		t.tell(results)
	}
	return max(code, t.keepResults(results, code))
}

// fail says what went wrong, and returns the code for it.
func (t *test) fail(code int, err error) int {
	t.report.End()
	if t.style == verdict.GitHub {
		t.report.Problem("kube-lite test", err.Error())
	} else {
		fmt.Fprintf(t.stderr, "kube-lite: test: %v\n", err)
	}
	return code
}

// styleOf is how a report is written to a stream.
func styleOf(w io.Writer) verdict.Style {
	file, ok := w.(*os.File)
	switch {
	case os.Getenv("GITHUB_ACTIONS") == "true":
		return verdict.GitHub
	case ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb":
		return verdict.Terminal
	}
	return verdict.Plain
}

// sound reports all that is wrong with the manifests, by what the instance serves unless it is nil.
func (t *test) sound(by *served) bool {
	rules := manifest.Rules{GenerateName: true}
	if !t.elsewhere() {
		rules.Scheme = manifest.Scheme()
	}
	if by != nil {
		rules.Known, rules.Definition = by.knows, by.definition
	}
	problems := 0
	for _, p := range manifest.CheckFiles(t.input.files, rules) {
		if t.style == verdict.GitHub && !p.Warning {
			fmt.Fprintf(t.stdout, "::error file=%s,line=%d,col=%d::%s\n", p.File, p.Line, p.Column, p)
		} else {
			fmt.Fprintln(t.stderr, p)
		}
		if !p.Warning {
			problems++
		}
	}
	if problems > 0 {
		fmt.Fprintf(t.stderr, "kube-lite: test: %s: nothing was applied\n", count(problems, "problem"))
	}
	return problems == 0
}

// connect makes the instance, or finds the other cluster.
func (t *test) connect(ctx context.Context) (err error) {
	if t.elsewhere() {
		t.cluster, err = t.connectTo(t.kubeconfig, t.context)
		if err == nil {
			_, err = t.cluster.discovery.ServerVersion()
		}
		return err
	}
	t.report.Section("Instance " + t.cfg.Name)
	began := time.Now()
	var flags []string
	if t.cfg.DockerHost != "" {
		flags = append(flags, "--docker-host="+t.cfg.DockerHost)
	}
	if err := start(ctx, t.cfg, flags, io.Discard); err != nil {
		return err
	}
	t.report.Done("ready", "", time.Since(began))
	t.cluster, err = t.connectTo(t.cfg.KubeconfigPath(), "")
	return err
}

// judge applies the objects, waits for them and tries the checks.
func (t *test) judge(ctx context.Context) (results []verdict.Result, code int) {
	if !t.elsewhere() && !t.sound(newServed(t.cfg.KubeconfigPath())) {
		return nil, exitManifests
	}
	ctx, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	t.report.Section("Apply " + count(len(t.input.objects), "object"))
	began := time.Now()
	objects, err := t.apply(ctx)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, exitMachine
	case err != nil:
		return nil, t.fail(codeOf(ctx, err), err)
	}
	t.report.Done("applied", "", time.Since(began))
	run := t.runOf(objects)
	t.report.Section("Wait until all is as declared")
	results, ready := run.Await(ctx)
	if !ready {
		return append(results, verdict.Skip(t.checks)...), notPassed(ctx, exitNotReady)
	}
	if len(t.checks) == 0 {
		return results, exitOK
	}
	t.report.Section("Try " + count(len(t.checks), "check"))
	tried, passed := run.Try(ctx, t.checks, t.applyJob)
	if !passed {
		code = notPassed(ctx, exitCheckFailed)
	}
	return append(results, tried...), code
}

// notPassed is the code of a run that did not pass: an interrupted one has no verdict.
func notPassed(ctx context.Context, code int) int {
	if errors.Is(ctx.Err(), context.Canceled) {
		return exitMachine
	}
	return code
}

func (t *test) runOf(objects []verdict.Object) *verdict.Run {
	return &verdict.Run{Cluster: &t.cluster.Cluster, Objects: objects, Report: t.report}
}

// tell prints what is known of all that failed.
func (t *test) tell(results []verdict.Result) {
	t.report.End()
	first := map[string]string{} // the object that has been explained by a cause
	for _, r := range results {
		if !r.Failed {
			continue
		}
		if t.reason == "" {
			t.reason = r.Stopped
		}
		detail := r.Detail
		if before := first[r.Cause]; before != "" {
			detail = "for the reason that " + before + " has\n"
		} else if r.Cause != "" {
			first[r.Cause] = r.Name
		}
		t.report.Problem("✗ "+r.Name+": "+r.Text, detail)
	}
}

// keepResults writes what --junit and --logs ask for. What cannot be written makes a good run a bad one.
func (t *test) keepResults(results []verdict.Result, code int) int {
	var errs []error
	if t.junit != "" {
		errs = append(errs, writeFile(t.junit, func(w io.Writer) error { return verdict.WriteJUnit(w, results, time.Since(t.began)) }))
	}
	if t.logs != "" {
		errs = append(errs, t.keepLogs())
	}
	if err := errors.Join(errs...); err != nil {
		t.fail(exitMachine, err)
		if code == exitOK {
			return exitMachine
		}
	}
	return code
}

func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(filepath.Clean(name))
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// keepLogs is of the whole instance; elsewhere of the namespaces of what was applied.
func (t *test) keepLogs() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), keepLimit)
	defer cancel()
	var namespaces []string
	if t.elsewhere() {
		for _, o := range t.cluster.applied {
			if o.Namespace != "" && !slices.Contains(namespaces, o.Namespace) {
				namespaces = append(namespaces, o.Namespace)
			}
		}
		if len(namespaces) == 0 {
			return nil
		}
	}
	err := t.runOf(t.cluster.applied).WriteLogs(ctx, t.logs, namespaces...)
	if t.elsewhere() {
		return err
	}
	text, readErr := os.ReadFile(t.cfg.LogPath())
	if readErr == nil {
		readErr = os.WriteFile(filepath.Join(t.logs, "daemon.log"), text, 0o644)
	}
	return errors.Join(err, readErr)
}

// remove takes back what the run made. It does not end with the run's context: a signal ends the run, not this.
func (t *test) remove() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), removeLimit)
	defer cancel()
	if t.keep {
		if t.cluster != nil && !t.elsewhere() {
			t.report.Line("kept: \"kube-lite --name %s get all\" shows it, \"kube-lite --name %[1]s reset --yes\" removes it", t.cfg.Name)
		}
		return nil
	}
	if t.ctx.Err() != nil {
		t.report.Line("interrupted: removing what was made (a second signal leaves it)")
	}
	if t.elsewhere() {
		if t.cluster == nil {
			return nil
		}
		return t.cluster.remove(ctx)
	}
	if _, err := os.Lstat(t.cfg.DataDir); t.cluster == nil && errors.Is(err, os.ErrNotExist) {
		return nil // a start that fails takes back what it made
	}
	if err := daemon.Reset(ctx, t.cfg); err != nil && !errors.Is(err, daemon.ErrNoInstance) {
		return fmt.Errorf("the instance %s is not removed (\"kube-lite --name %[1]s reset\" tries again): %w", t.cfg.Name, err)
	}
	return nil
}

// verdicts are what the exit codes mean.
var verdicts = map[int]string{
	exitOK: "passed", exitCheckFailed: "failed: a check failed", exitManifests: "failed: the manifests are wrong",
	exitNotReady: "failed: not ready", exitMachine: "failed: the machine",
}

// say prints the verdict.
func (t *test) say(ctx context.Context, code int) {
	text := verdicts[code]
	if ctx.Err() != nil {
		text = "interrupted"
	} else if t.reason != "" {
		text += ": " + t.reason
	}
	t.report.Line("%s  (%.1f s)", text, time.Since(t.began).Seconds())
}
