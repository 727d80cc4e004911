package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"

	"github.com/kube-lite/kube-lite/daemon"
	"github.com/kube-lite/kube-lite/intercept"
	"github.com/kube-lite/kube-lite/router"
)

// statusLimit bounds the question to the API server: a status that hangs says
// nothing.
const statusLimit = 5 * time.Second

// status is what `status -o json` prints. Its keys are part of the interface.
type status struct {
	Name          string `json:"name"`
	Version       string `json:"version"`
	PID           int    `json:"pid"`
	UptimeSeconds int64  `json:"uptimeSeconds"`
	APIServer     string `json:"apiServer"`
	DataDir       string `json:"dataDir"`
	PodCIDR       string `json:"podCIDR"`
	ServiceCIDR   string `json:"serviceCIDR"`
	DockerVersion string `json:"dockerVersion"`
	PodsRunning   int    `json:"podsRunning"`
	PodsTotal     int    `json:"podsTotal"`
	// Ingress has the URLs at which Ingresses are served; null while there are none.
	Ingress *ingressStatus `json:"ingress"`
	// Intercepts are those in force; never null.
	Intercepts []intercept.Intercept `json:"intercepts"`
}

// ingressStatus are URLs of localhost, without a path.
type ingressStatus struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
}

func statusCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "say what runs, where it listens and how many pods it has",
		Description: "The exit code is 0 when the daemon runs and 3 when it does not.",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "json"}},
		Action: onInstance(func(c *cli.Context, cfg daemon.Config) error {
			if o := c.String("output"); o != "" && o != "json" {
				return fmt.Errorf("status: --output %q: use json", o)
			}
			info, running, err := daemon.Lookup(cfg)
			if err != nil {
				return err
			}
			if !running {
				return cli.Exit(notRunning(cfg), exitNotRunning)
			}
			s, err := statusOf(e.ctx, cfg, info)
			if err != nil {
				return err
			}
			if c.String("output") == "json" {
				return json.NewEncoder(e.stdout).Encode(s)
			}
			return s.print(e)
		}),
	}
}

// notRunning says in one line how to start the instance.
func notRunning(cfg daemon.Config) string {
	return fmt.Sprintf("not running: start it with \"kube-lite%s start\"", nameArgument(cfg))
}

func statusOf(ctx context.Context, cfg daemon.Config, info daemon.Info) (status, error) {
	s := status{
		Name: info.Name, Version: info.Version, PID: info.PID,
		UptimeSeconds: int64(time.Since(info.Started).Seconds()),
		APIServer:     info.APIServer, DataDir: info.DataDir,
		PodCIDR: info.PodCIDR, ServiceCIDR: info.ServiceCIDR, DockerVersion: info.Docker,
	}
	client, err := clientOf(cfg, statusLimit)
	if err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, fmt.Errorf("pid %d runs, but its API does not answer (see %s): %w", info.PID, cfg.LogPath(), err)
	}
	s.PodsTotal = len(pods.Items)
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning {
			s.PodsRunning++
		}
	}
	if s.Ingress, err = ingressOf(ctx, client); err != nil {
		return s, err
	}
	s.Intercepts = []intercept.Intercept{}
	if info.Ready && info.Node != "" { // before that the node may not answer, and an older daemon names none
		s.Intercepts, err = intercept.Client{API: client.CoreV1().RESTClient(), Node: info.Node}.List(ctx)
	}
	return s, err
}

// ingressOf asks the IngressClass where Ingresses are served.
func ingressOf(ctx context.Context, client kubernetes.Interface) (*ingressStatus, error) {
	ports, err := router.Served(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if ports == (router.Ports{}) {
		return nil, nil
	}
	return &ingressStatus{HTTP: ports.URL("http", "localhost"), HTTPS: ports.URL("https", "localhost")}, nil
}

func (s status) print(e *env) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Instance:\t%s\n", s.Name)
	fmt.Fprintf(w, "Version:\t%s\n", s.Version)
	fmt.Fprintf(w, "PID:\t%d\n", s.PID)
	fmt.Fprintf(w, "Uptime:\t%s\n", duration.HumanDuration(time.Duration(s.UptimeSeconds)*time.Second))
	fmt.Fprintf(w, "API server:\t%s\n", s.APIServer)
	fmt.Fprintf(w, "Data directory:\t%s\n", s.DataDir)
	fmt.Fprintf(w, "Pod CIDR:\t%s\n", s.PodCIDR)
	fmt.Fprintf(w, "Service CIDR:\t%s\n", s.ServiceCIDR)
	fmt.Fprintf(w, "Docker:\t%s\n", s.DockerVersion)
	fmt.Fprintf(w, "Pods running:\t%d/%d\n", s.PodsRunning, s.PodsTotal)
	if s.Ingress != nil {
		fmt.Fprintf(w, "Ingresses:\t%s, %s\n", s.Ingress.HTTP, s.Ingress.HTTPS)
	}
	for n, i := range s.Intercepts {
		heading := ""
		if n == 0 {
			heading = "Intercepts:"
		}
		fmt.Fprintf(w, "%s\t%s\n", heading, i)
	}
	return w.Flush()
}
