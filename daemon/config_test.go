package daemon

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConfigRefusesWithTheFlagToChange(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Name: "Upper"}, `--name "Upper"`},
		{Config{Name: strings.Repeat("n", maxName+1)}, "--name"},
		{Config{APIPort: 70000}, "--api-port 70000"},
		{Config{NodeName: "Upper"}, `--node-name "Upper"`},
		{Config{NodeName: strings.Repeat("n", 64)}, "--node-name"},
		{Config{PidsLimit: -1}, "--pids-limit -1"},
		{Config{ProxyMode: "ipvs"}, `--proxy-mode "ipvs"`},
		{Config{AllowedUnsafeSysctls: []string{"vm.swappiness"}}, `--allowed-unsafe-sysctls: the sysctls "vm.swappiness" are not known to be namespaced`},
		{Config{DNSHosts: []string{"/nowhere/hosts"}}, "--dns-hosts: stat /nowhere/hosts: no such file"},
		{Config{IPFamily: FamilyIPv4, PodCIDRs: Ranges{Six: prefix("fd00::/64")}}, "--pod-cidr fd00::/64"},
		{Config{PodCIDRs: Ranges{Four: prefix("10.0.0.0/30")}}, "--pod-cidr 10.0.0.0/30"},
		{Config{ServiceCIDRs: Ranges{Four: prefix("10.96.0.0/30")}}, "--service-cidr 10.96.0.0/30"},
		{Config{PodCIDRs: Ranges{Four: prefix("10.0.0.0/8")}, ServiceCIDRs: Ranges{Four: prefix("10.96.0.0/16")}}, "overlap"},
	} {
		if _, err := c.cfg.WithDefaults(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.cfg, err, c.want)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	cfg, err := Config{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "default" || cfg.DataDir != "/var/lib/kube-lite/default" {
		t.Errorf("got %s in %s", cfg.Name, cfg.DataDir)
	}
}

func TestFirstFreeRange(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		name string
		used []netip.Prefix
		want string
	}{
		{"nothing is used", nil, "10.244.0.0/16"},
		{"the default is a part of a VPN's range", []netip.Prefix{prefix("10.244.0.0/14")}, "10.248.0.0/16"},
		{"a small range within the default is used", []netip.Prefix{prefix("10.244.9.0/24")}, "10.245.0.0/16"},
		{"the end of the private range is reached", []netip.Prefix{prefix("10.244.0.0/14"), prefix("10.248.0.0/13")}, "10.0.0.0/16"},
	} {
		got, err := firstFree(defaultPodCIDR, c.used)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %v %v, want %s", c.name, got, err, c.want)
		}
	}
	if _, err := firstFree(defaultPodCIDR, []netip.Prefix{prefix("10.0.0.0/8")}); err == nil {
		t.Error("a host that routes all of 10.0.0.0/8 has no free range in it")
	}
}

func TestBridgeNamesFitTheKernelAndDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"default", "e2e-12345678", "e2e-123456789", "e2e-123456780", strings.Repeat("a", maxName)} {
		device := bridgeName(name)
		if len(device) > 15 {
			t.Errorf("%s: device %s has %d characters", name, device, len(device))
		}
		if other, taken := seen[device]; taken {
			t.Errorf("%s and %s share the device %s", name, other, device)
		}
		seen[device] = name
	}
}

func TestNodeName(t *testing.T) {
	for host, want := range map[string]string{
		"Laptop.local": "laptop.local", "my_box": "my-box", "-x-": "x", "": "localhost", "--": "localhost", "a..b": "a.b", "box-.lan": "box.lan",
		strings.Repeat("n", 64): strings.Repeat("n", 63), strings.Repeat("n", 62) + ".x": strings.Repeat("n", 62),
	} {
		if got := nodeName(host); got != want {
			t.Errorf("host %q gives the node %q, want %q", host, got, want)
		}
	}
}
