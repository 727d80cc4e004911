package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/daemon"
)

// progressEnv holds the number of a file descriptor on which `start` wants to
// hear how the daemon's start goes, a JSON message a line.
const progressEnv = "KUBE_LITE_PROGRESS_FD"

// message is what a daemon in the background tells the `start` that waits.
type message struct {
	daemon.Step
	Error string `json:"error,omitempty"`
}

// daemonFlags are those of start and serve, where they are declared: start hands on to serve what it was given.
func daemonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "api-port", Usage: "`PORT` of the API on 127.0.0.1 (default: 6443, or the next free one)"},
		&cli.StringFlag{Name: "ip-family", Usage: "IP `FAMILY` of pods and Services: ipv4, ipv6 or dual, kept with the instance (default: ipv4)"},
		&cli.StringFlag{Name: "pod-cidr", Usage: "addresses of pods, a `CIDR` (default: 10.244.0.0/16, or the next free range)"},
		&cli.StringFlag{Name: "service-cidr", Usage: "addresses of Services, a `CIDR` (default: 10.96.0.0/16, or the next free range)"},
		&cli.StringFlag{Name: "node-name", Usage: "`NAME` of the node (default: the machine's at the first start, and then as it was)"},
		&cli.IntFlag{Name: "nodes", Usage: "have `N` nodes, kept with the instance (default: those that it has had, at first one)"},
		&cli.StringSliceFlag{Name: "node-label", Usage: "label all nodes with `KEY=VALUE`, or the one with number N with N:KEY=VALUE"},
		&cli.StringSliceFlag{Name: "nodeport-addresses", Usage: "open NodePorts and load balancers to other machines on addresses in this `CIDR`"},
		&cli.StringFlag{Name: "http-ports", Usage: "serve Ingresses on these `PORTS` of localhost, or off (default: 80,443, or the next free pair, while there are Ingresses)"},
		&cli.StringFlag{Name: "proxy-mode", Usage: "make the rules of Services with `PROGRAM`, nftables or iptables (default: nftables where the machine has it)"},
		&cli.StringSliceFlag{Name: "dns-hosts", TakesFile: true, Usage: "let pods find the names in this `FILE` too, in the format of /etc/hosts"},
		&cli.Int64Flag{Name: "pids-limit", Usage: "let a container have at most `N` processes and threads (default: no limit)"},
		&cli.StringSliceFlag{Name: "allowed-unsafe-sysctls", Usage: "let pods set these `SYSCTLS` too, such as net.core.somaxconn or kernel.msg*"},
		&cli.StringFlag{Name: "audit-policy", TakesFile: true, Usage: "record requests to the API that this `FILE` selects, an audit.k8s.io/v1 Policy"},
		&cli.StringFlag{Name: "audit-log", TakesFile: true, Usage: "`FILE` that the requests are recorded in, one line of JSON for each event"},
		&cli.StringFlag{Name: "encryption-config", TakesFile: true, Usage: "encrypt what this `FILE` says, an EncryptionConfiguration (default: Secrets, with a key of the instance)"},
		&cli.StringFlag{Name: "docker-host", Usage: "`ADDRESS` of the Docker engine, kept with the instance (default: what the docker command uses)"},
	}
}

func daemonConfig(c *cli.Context) (daemon.Config, error) {
	cfg := daemon.Config{
		Name: c.String(nameFlag), DataDir: c.String(dataDirFlag), Version: version(),
		ProxyMode: c.String("proxy-mode"), IPFamily: c.String("ip-family"),
		APIPort: c.Int("api-port"), NodeName: c.String("node-name"), DockerHost: c.String("docker-host"),
		Audit:            apiserver.Audit{Policy: c.String("audit-policy"), Log: c.String("audit-log")},
		EncryptionConfig: c.String("encryption-config"), DNSHosts: c.StringSlice("dns-hosts"),
		HTTPPorts: c.String("http-ports"), Nodes: c.Int("nodes"),
		PidsLimit: c.Int64("pids-limit"), AllowedUnsafeSysctls: c.StringSlice("allowed-unsafe-sysctls"),
	}
	var err error
	if text := c.String("pod-cidr"); text != "" {
		if cfg.PodCIDRs, err = daemon.ParseRanges("--pod-cidr", text); err != nil {
			return cfg, err
		}
	}
	if text := c.String("service-cidr"); text != "" {
		if cfg.ServiceCIDRs, err = daemon.ParseRanges("--service-cidr", text); err != nil {
			return cfg, err
		}
	}
	for _, text := range c.StringSlice("node-label") {
		label, err := daemon.ParseNodeLabel(text)
		if err != nil {
			return cfg, err
		}
		cfg.NodeLabels = append(cfg.NodeLabels, label)
	}
	if c.IsSet("nodes") && cfg.Nodes < 1 {
		return cfg, fmt.Errorf("--nodes %d: an instance has at least one node", cfg.Nodes)
	}
	for _, text := range c.StringSlice("nodeport-addresses") {
		var prefix netip.Prefix
		if prefix, err = daemon.ParseCIDR("--nodeport-addresses", text); err != nil {
			return cfg, err
		}
		cfg.NodePortAddresses = append(cfg.NodePortAddresses, prefix)
	}
	return cfg.WithDefaults()
}

func serveCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the daemon in the foreground, for systemd, containers and debugging",
		Description: "SIGTERM and Ctrl-C stop the pods gracefully, then the daemon; a second one ends it\n" +
			"at once and leaves the containers running for the next start to adopt.",
		Flags: daemonFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := daemonConfig(c)
			if err != nil {
				return err
			}
			return serve(e.ctx, cfg, e.stderr)
		},
	}
}

// sampleHeap has Go sample allocations for the heap profile only if GODEBUG says how many: the books take 2 MB.
// See https://pkg.go.dev/runtime#MemProfileRate
func sampleHeap() {
	if !strings.Contains(os.Getenv("GODEBUG"), "memprofilerate=") {
		runtime.MemProfileRate = 0
	}
}

// serve runs the daemon. Its log goes to w.
func serve(ctx context.Context, cfg daemon.Config, w io.Writer) error {
	sampleHeap()
	cfg.Log = slog.New(slog.NewTextHandler(w, nil))
	report, err := reporter()
	if err != nil {
		return err
	}
	if report == nil {
		return daemon.Run(ctx, cfg)
	}
	cfg.Progress = func(s daemon.Step) { report(message{Step: s}) }
	if err = daemon.Run(ctx, cfg); err != nil {
		report(message{Error: err.Error()})
	}
	return err
}

// reporter writes to the descriptor that start left open, if there is one.
func reporter() (func(message), error) {
	text := os.Getenv(progressEnv)
	if text == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", progressEnv, text, err)
	}
	pipe := os.NewFile(uintptr(fd), "progress")
	encoder := json.NewEncoder(pipe)
	return func(m message) {
		_ = encoder.Encode(m) // the start that listened may be gone
		if m.Ready || m.Error != "" {
			_ = pipe.Close()
		}
	}, nil
}
