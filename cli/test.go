package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/manifest"
	"github.com/kube-lite/kube-lite/verdict"
)

// Exit codes of test. A job goes by them, so they do not change.
const (
	exitCheckFailed = 1
	exitManifests   = 2 // or the command line, or a file of checks
	exitNotReady    = 3
	exitMachine     = 4 // no Docker, no rights, no such cluster; or the run was interrupted
)

const (
	// testWait is the default of --wait.
	testWait = 3 * time.Minute
	// testPrefix begins the names of instances that test makes.
	testPrefix = "test-"
)

func testCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "test",
		Usage: "apply manifests in an instance of its own, wait until all is as declared, try checks, and remove it again",
		UsageText: "kube-lite test -f k8s/\n" +
			"kube-lite test -k overlays/ci --check 'http://web.default/healthz -> 200' --junit report.xml --logs logs/\n" +
			"kube-lite test -f app.yaml --exec job/smoke --exec 'deploy/web -- cat /etc/version'",
		Description: "Several runs go side by side. A run ends as soon as something cannot become ready any more: an image is missing, a\n" +
			"container has ended after three restarts, no node takes a pod, a quota is used up, a Job has failed.\n\n" +
			"A check is '[METHOD] URL [-> STATUS [PATTERN]]'. The URL names a Service (http://web.shop:http/), the host of an Ingress, a pod\n" +
			"(http://web-0.shop.pod:8080/) or an address (http://localhost:30080/); PATTERN is found in the body. A check is tried again\n" +
			"until it passes or the time of --wait is over. docs/ci/README.md describes files of checks.\n\n" +
			"Exit codes: 0 good, 1 a check failed, 2 the manifests (or checks, or flags) are wrong, 3 not ready in time,\n" +
			"4 the machine (no Docker, no rights, no such cluster), or the run was interrupted.",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "filename", Aliases: []string{"f"}, Usage: "manifests: a `FILE`, a directory, a URL, or - for standard input"},
			&cli.StringFlag{Name: "kustomize", Aliases: []string{"k"}, Usage: "the `DIR` of a kustomization"},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"R"}, Usage: "look for manifests below the directories too"},
			&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "the `NAMESPACE` of what names none (default: default, or the context's)"},
			&cli.DurationFlag{Name: "wait", Value: testWait, Usage: "how long all may take, from the first object on"},
			&cli.GenericFlag{Name: "check", Value: &words{}, Usage: "make a `REQUEST`, as in 'http://web.default/healthz -> 200'; may be repeated"},
			&cli.GenericFlag{Name: "check-file", Value: &words{}, Usage: "try the checks in a `FILE`; may be repeated"},
			&cli.GenericFlag{Name: "exec", Value: &words{}, Usage: "`WHAT` to run as a check: job/NAME, or 'deploy/web -- COMMAND'; may be repeated"},
			&cli.StringFlag{Name: "junit", Usage: "write the results to a `FILE`, as JUnit XML"},
			&cli.StringFlag{Name: "logs", Usage: "write the logs of all containers, events and objects into a `DIR`"},
			&cli.BoolFlag{Name: "keep", Usage: "remove nothing at the end"},
			&cli.StringFlag{Name: "context", Usage: "make no instance, use the cluster of this `CONTEXT`; what the run creates there is deleted at the end"},
			&cli.StringFlag{Name: "kubeconfig", Usage: "make no instance, use the cluster of this `FILE`"},
			&cli.StringFlag{Name: "docker-host", Usage: "`ADDRESS` of the Docker engine (default: what the docker command uses)"},
		},
		OnUsageError: func(c *cli.Context, err error, sub bool) error {
			return cli.Exit(usageError(c, err, sub), exitManifests)
		},
		Action: func(c *cli.Context) error {
			t, err := e.newTest(c)
			if err != nil {
				return cli.Exit(err, exitManifests)
			}
			if code := t.run(e.ctx); code != exitOK {
				return cli.Exit("", code)
			}
			return nil
		},
	}
}

// words are the values of a flag that may be repeated and have commas in them.
type words []string

// Set is flag.Value's.
func (w *words) Set(value string) error {
	*w = append(*w, value)
	return nil
}

// String is flag.Value's.
func (w *words) String() string { return strings.Join(*w, " ") }

// test is one run of the command.
type test struct {
	*env
	// What the command line says.
	names               []string // of -f
	kustomize           string
	recursive, keep     bool
	namespace           string
	wait                time.Duration
	checks              []verdict.Check
	junit, logs         string
	context, kubeconfig string // of another cluster

	cfg     daemon.Config // of the instance of its own
	style   verdict.Style
	report  *verdict.Report
	input   manifests
	cluster *cluster
	began   time.Time
	reason  string // why it waited no longer
}

// elsewhere tells whether the run makes no instance.
func (t *test) elsewhere() bool { return t.context != "" || t.kubeconfig != "" }

// newTest reads the command line and the files of checks.
func (e *env) newTest(c *cli.Context) (*test, error) {
	if err := noArguments(c); err != nil {
		return nil, err
	}
	for flag, variable := range map[string]string{nameFlag: "KUBE_LITE_NAME", dataDirFlag: "KUBE_LITE_DATA_DIR"} {
		if c.IsSet(flag) && c.String(flag) != os.Getenv(variable) {
			return nil, fmt.Errorf("test: an instance of its own has a name of its own: leave out --%s", flag)
		}
	}
	t := &test{
		env: e, names: c.StringSlice("filename"), kustomize: c.String("kustomize"), recursive: c.Bool("recursive"), keep: c.Bool("keep"),
		namespace: c.String("namespace"), wait: c.Duration("wait"), junit: c.String("junit"), logs: c.String("logs"),
		context: c.String("context"), kubeconfig: c.String("kubeconfig"), began: time.Now(),
	}
	switch {
	case len(t.names) == 0 && t.kustomize == "":
		return nil, errors.New("test: give manifests with -f, or a kustomization with -k")
	case t.wait <= 0:
		return nil, fmt.Errorf("test: --wait %s: it must be longer than 0", t.wait)
	case t.elsewhere() && c.IsSet("docker-host"):
		return nil, errors.New("test: --docker-host is of an instance, and --context and --kubeconfig make none")
	}
	if err := checkFolder(filepath.Dir(t.junit), true); err != nil {
		return nil, fmt.Errorf("test: --junit: %w", err)
	}
	if err := checkFolder(t.logs, false); err != nil {
		return nil, fmt.Errorf("test: --logs: %w", err)
	}
	if err := t.readChecks(c); err != nil {
		return nil, err
	}
	var err error
	t.cfg, err = daemon.Config{Name: freeName(), DockerHost: c.String("docker-host"), Version: version()}.WithDefaults()
	return t, err
}

// checkFolder refuses what could not be written into at the end of the run; one that need not be there is made then.
func checkFolder(dir string, there bool) error {
	stat, err := os.Stat(dir)
	switch {
	case err == nil && !stat.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case errors.Is(err, fs.ErrNotExist) && !there:
		return nil
	}
	return err
}

// freeName is one that no instance of this machine has.
func freeName() string {
	for {
		name := fmt.Sprintf("%s%06x", testPrefix, rand.IntN(1<<24))
		if _, err := os.Lstat(filepath.Join(daemon.DefaultRoot, name)); err != nil {
			return name
		}
	}
}

// readChecks collects the checks in the order in which they are tried: requests, files, commands and Jobs.
func (t *test) readChecks(c *cli.Context) error {
	for _, text := range *c.Generic("check").(*words) {
		check, err := verdict.ParseCheck(text)
		if err != nil {
			return fmt.Errorf("--check %w", err)
		}
		t.checks = append(t.checks, check)
	}
	for _, name := range *c.Generic("check-file").(*words) {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("--check-file: %w", err)
		}
		checks, problems := verdict.ParseChecks(name, text)
		if len(problems) > 0 {
			return errors.New("--check-file: " + joinProblems(problems))
		}
		t.checks = append(t.checks, checks...)
	}
	for _, text := range *c.Generic("exec").(*words) {
		check, err := verdict.ParseExec(text)
		if err != nil {
			return fmt.Errorf("--exec %w", err)
		}
		t.checks = append(t.checks, check)
	}
	return nil
}

func joinProblems(problems []manifest.Problem) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n  ")
}
