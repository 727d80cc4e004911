package netproxy

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOptionsThatCannotWork(t *testing.T) {
	options := func() Options {
		o := testOptions("test", testBridge)
		o.Kernel = &Kernel{tools: map[family]*kernelTools{ipv4: {}}}
		return o
	}
	for want, change := range map[string]func(*Options){
		"instance":            func(o *Options) { o.Instance = "" },
		"bridge name":         func(o *Options) { o.Bridge = "a-name-too-long0" },
		"service CIDR":        func(o *Options) { o.ServiceCIDR = netip.MustParsePrefix("fd00::/64") },
		"pod CIDR":            func(o *Options) { o.PodCIDR = netip.Prefix{} },
		"overlap":             func(o *Options) { o.PodCIDR = netip.MustParsePrefix("10.0.0.0/8") },
		"node port addresses": func(o *Options) { o.NodePortAddresses = []netip.Prefix{netip.MustParsePrefix("::/0")} },
		"make rules":          func(o *Options) { o.Kernel = nil },
	} {
		o := options()
		change(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if err := options().validate(); err != nil {
		t.Error(err)
	}
}

func TestASettingThatIsRightIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ip_forward")
	if err := os.WriteFile(path, []byte("1\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := set(path, "1"); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "1\n" {
		t.Errorf("written: %q", got)
	}
	if err := set(filepath.Join(path, "missing"), "1"); err == nil || !strings.Contains(err.Error(), "missing to 1") {
		t.Errorf("of a setting that is not there: %v", err)
	}
}
