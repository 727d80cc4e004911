package daemon

import (
	"os"
	"strings"
	"testing"
)

func TestAnInstanceStaysOnItsEngine(t *testing.T) {
	const mine, other = "unix:///run/mine.sock", "unix:///run/other.sock"
	for _, c := range []struct {
		name, kept, asked, environment string
		want, refusal                  string
	}{
		{name: "the first start, as the flag says", asked: mine, environment: other, want: mine},
		{name: "the first start, as the environment says", environment: mine, want: ""},
		{name: "the flag left out", kept: mine, environment: other, want: mine},
		{name: "the flag left out, in the instance's environment", kept: mine, environment: mine, want: ""},
		{name: "an environment that leads nowhere", kept: mine, environment: "nonsense", want: mine},
		{name: "the same flag", kept: mine, asked: mine, environment: other, want: mine},
		{name: "another flag", kept: mine, asked: other, environment: mine, refusal: "--docker-host " + other + ": the containers of this instance are on " + mine},
		{name: "a flag that is none", kept: mine, asked: "nonsense", refusal: "--docker-host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", c.environment)
			got, err := settings{DockerHost: c.kept}.dockerHost(c.asked)
			if c.refusal != "" {
				if err == nil || !strings.Contains(err.Error(), c.refusal) {
					t.Errorf("got %q, %v; want a refusal with %q", got, err, c.refusal)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// What contradicts is refused by a start beside a running daemon too.
func TestContradictingFlagsAreRefused(t *testing.T) {
	cfg := testConfig(t)
	cfg.DockerHost = "unix:///run/other.sock"
	if err := CheckSettled(cfg); err != nil {
		t.Errorf("before the first start: %v", err)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	kept := settings{Name: cfg.Name, DockerHost: "unix:///run/mine.sock", PodCIDR: defaultPodCIDR, ServiceCIDR: defaultServiceCIDR}
	if err := kept.save(cfg); err != nil {
		t.Fatal(err)
	}
	if err := CheckSettled(cfg); err == nil || !strings.Contains(err.Error(), "unix:///run/mine.sock") {
		t.Errorf("another engine: %v, want a refusal", err)
	}
	cfg.DockerHost, cfg.PodCIDRs.Four = "", defaultServiceCIDR
	if err := CheckSettled(cfg); err == nil || !strings.Contains(err.Error(), "--pod-cidr") {
		t.Errorf("another range: %v, want a refusal", err)
	}
}
