package daemon

import (
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestRangesOfAFlag(t *testing.T) {
	four, six := netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("fd00:9::/64")
	for text, want := range map[string]Ranges{
		"10.9.0.0/16":             {Four: four},
		"fd00:9::1/64":            {Six: six, SixFirst: true},
		"10.9.0.0/16,fd00:9::/64": {Four: four, Six: six},
		"fd00:9::/64,10.9.0.0/16": {Four: four, Six: six, SixFirst: true},
	} {
		if got, err := ParseRanges("--pod-cidr", text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10.9.0.0/16,", "10.9.0.0/16,10.8.0.0/16", "fd00:9::/64,fd00:8::/64", "10.9.0.0/16,fd00:9::/64,fd00:8::/64"} {
		if got, err := ParseRanges("--pod-cidr", text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestFamiliesAreSettledAtTheFirstStart(t *testing.T) {
	cfg := testConfig(t)
	cfg.IPFamily = FamilyDual
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := settle(cfg, "machine", nil)
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParsePrefix("fd00::/8")
	all := first.families()
	if len(all) != 2 || all[0].pods != defaultPodCIDR || all[0].services != defaultServiceCIDR || !local.Contains(all[1].pods.Addr()) ||
		!local.Contains(all[1].services.Addr()) || all[1].pods.Overlaps(all[1].services) || all[1].gateway() != all[1].pods.Addr().Next() {
		t.Fatalf("%+v", all)
	}
	if err := first.save(cfg); err != nil {
		t.Fatal(err)
	}
	cfg.IPFamily = ""
	if second, err := settle(cfg, "machine", nil); err != nil || second.PodCIDR6 != first.PodCIDR6 || second.family() != FamilyDual {
		t.Errorf("without the flag: %+v, %v", second, err)
	}
	cfg.IPFamily = FamilyIPv4
	if _, err := settle(cfg, "machine", nil); err == nil || !strings.Contains(err.Error(), "--ip-family ipv4: this instance was made with dual") {
		t.Errorf("another family: %v", err)
	}
}

func TestPrimaryFamilyIsTheFirstOfAPair(t *testing.T) {
	cfg := testConfig(t)
	cfg.IPFamily = FamilyDual
	cfg.ServiceCIDRs = Ranges{Four: netip.MustParsePrefix("10.9.0.0/16"), Six: netip.MustParsePrefix("fd00:9::/112"), SixFirst: true}
	s, err := settle(cfg, "machine", nil)
	if err != nil {
		t.Fatal(err)
	}
	if pods, services := s.texts(); services != "fd00:9::/112,10.9.0.0/16" || !strings.HasSuffix(pods, ","+defaultPodCIDR.String()) {
		t.Errorf("pods %s, Services %s", pods, services)
	}
}

func TestIPv6AloneHasNoServicesOfIPv4(t *testing.T) {
	cfg := testConfig(t)
	cfg.IPFamily = FamilyIPv6
	s, err := settle(cfg, "machine", nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := s.families(); len(all) != 1 || !all[0].services.Addr().Is6() || s.ServiceCIDR != (netip.Prefix{}) || s.network("x").Subnet != defaultPodCIDR {
		t.Errorf("%+v", s)
	}
}

func TestFamiliesThatCannotBe(t *testing.T) {
	six, four := Ranges{Six: netip.MustParsePrefix("fd00:9::/64")}, Ranges{Four: netip.MustParsePrefix("10.9.0.0/16")}
	for want, cfg := range map[string]Config{
		`--ip-family "both"`:                                {IPFamily: "both"},
		"--pod-cidr fd00:9::/64: IPv6 takes":                {IPFamily: FamilyIPv4, PodCIDRs: six},
		"--service-cidr 10.9.0.0/16: --ip-family ipv6":      {IPFamily: FamilyIPv6, ServiceCIDRs: four},
		"use an IPv6 range from /16 to /112":                {IPFamily: FamilyDual, PodCIDRs: Ranges{Six: netip.MustParsePrefix("fd00::/120")}},
		"--pod-cidr fd00:9::/64 and --service-cidr fd00:9:": {IPFamily: FamilyDual, PodCIDRs: six, ServiceCIDRs: Ranges{Six: netip.MustParsePrefix("fd00:9::/112")}},
		"name the IP families in the same order": {IPFamily: FamilyDual, PodCIDRs: Ranges{four.Four, six.Six, true},
			ServiceCIDRs: Ranges{netip.MustParsePrefix("10.8.0.0/16"), netip.MustParsePrefix("fd00:8::/112"), false}},
	} {
		if _, err := cfg.WithDefaults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	cfg := testConfig(t)
	cfg.PodCIDRs = six
	if _, err := settle(cfg, "machine", nil); err == nil || !strings.Contains(err.Error(), "IPv6 takes --ip-family") {
		t.Errorf("without --ip-family: %v", err)
	}
}
