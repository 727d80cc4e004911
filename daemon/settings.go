package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// settings are settled at an instance's first start. Services hold addresses
// of the one range and pods of the other, so neither may move later.
type settings struct {
	Name        string       `json:"name"`
	PodCIDR     netip.Prefix `json:"podCIDR"`
	ServiceCIDR netip.Prefix `json:"serviceCIDR"` // the zero Prefix: it has no Services of IPv4
	// IPFamily is the value of --ip-family but for ipv4, which is empty. The others have the two ranges of IPv6.
	IPFamily     string       `json:"ipFamily,omitempty"`
	PodCIDR6     netip.Prefix `json:"podCIDR6,omitzero"`
	ServiceCIDR6 netip.Prefix `json:"serviceCIDR6,omitzero"`
	IPv6First    bool         `json:"ipv6First,omitempty"` // IPv6 is the primary family
	// APIPort is the last one that served: kubeconfigs hold it, so it is the
	// first to be tried.
	APIPort int `json:"apiPort"`
	// NodeName is that of the Node. Pods are bound to it, so it stays though the
	// machine may be called otherwise by now.
	NodeName string `json:"nodeName"`
	// DockerHost is the address of the engine that has the containers. Empty in the file of an
	// older kube-lite, until the next start.
	DockerHost string `json:"dockerHost,omitempty"`

	fresh bool // nothing was settled before: this is the first start
}

// loadSettings returns what an earlier start settled; found is false when
// there was none.
func loadSettings(cfg Config) (s settings, found bool, err error) {
	text, err := os.ReadFile(cfg.path(settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("settings: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, false, fmt.Errorf("settings: %s: %w", cfg.path(settingsFile), err)
	}
	return s, true, nil
}

func (s settings) save(cfg Config) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	next := cfg.path(settingsFile) + ".next"
	if err := os.WriteFile(next, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if err := os.Rename(next, cfg.path(settingsFile)); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// settle returns the instance's settings: those of its first start, or what
// cfg says, or the first ranges that this host does not route and the host's
// own name.
func settle(cfg Config, host string, used []netip.Prefix) (settings, error) {
	s, found, err := loadSettings(cfg)
	if err != nil {
		return s, err
	}
	if s.NodeName == "" { // also one that was made before the name was kept
		s.NodeName = cmp.Or(cfg.NodeName, nodeName(host))
	}
	if !found {
		s.Name, s.PodCIDR, s.ServiceCIDR, s.fresh = cfg.Name, cfg.PodCIDRs.Four, cfg.ServiceCIDRs.Four, true
		if err := cfg.rangesFit(); err != nil {
			return s, err
		}
		if !s.PodCIDR.IsValid() {
			s.PodCIDR, err = firstFree(defaultPodCIDR, append(used, cfg.ServiceCIDRs.Four))
		}
		if err == nil && !s.ServiceCIDR.IsValid() {
			s.ServiceCIDR, err = firstFree(defaultServiceCIDR, append(used, s.PodCIDR))
		}
		if err == nil {
			err = s.settleIPv6(cfg, used)
		}
		return s, err
	}
	return s, s.check(cfg)
}

// CheckSettled refuses what contradicts what the instance's first start settled.
func CheckSettled(cfg Config) error {
	s, found, err := loadSettings(cfg)
	if err != nil || !found {
		return err
	}
	return s.check(cfg)
}

// check refuses what contradicts the settings. The error names the flag.
func (s settings) check(cfg Config) error {
	if s.Name != cfg.Name {
		return fmt.Errorf("the data directory %s belongs to the instance %q, not %q: choose another with --data-dir", cfg.DataDir, s.Name, cfg.Name)
	}
	if cfg.NodeName != "" && s.NodeName != "" && cfg.NodeName != s.NodeName {
		return fmt.Errorf("--node-name %s: this instance was made with the node %s, and its pods are bound to it: use another --name, or kube-lite reset", cfg.NodeName, s.NodeName)
	}
	if cfg.IPFamily != "" && cfg.IPFamily != s.family() {
		return fmt.Errorf("--ip-family %s: this instance was made with %s, and its objects hold addresses of it: use another --name, or kube-lite reset", cfg.IPFamily, s.family())
	}
	for _, r := range []struct {
		flag       string
		want, have netip.Prefix
	}{
		{"--pod-cidr", cfg.PodCIDRs.Four, s.PodCIDR}, {"--pod-cidr", cfg.PodCIDRs.Six, s.PodCIDR6},
		{"--service-cidr", cfg.ServiceCIDRs.Four, s.ServiceCIDR}, {"--service-cidr", cfg.ServiceCIDRs.Six, s.ServiceCIDR6},
	} {
		if err := unchanged(r.flag, r.want, r.have); err != nil {
			return err
		}
	}
	_, err := s.dockerHost(cfg.DockerHost)
	return err
}

// rangesFit refuses ranges that an instance of the family cannot have. An instance that there is knows its family.
func (c Config) rangesFit() error {
	family := cmp.Or(c.IPFamily, FamilyIPv4)
	return errors.Join(c.PodCIDRs.check("--pod-cidr", family), c.ServiceCIDRs.check("--service-cidr", family))
}

func unchanged(flag string, want, have netip.Prefix) error {
	if want.IsValid() && want != have {
		return fmt.Errorf("%s %s: this instance was made with %s, and its objects hold addresses of it: use another --name, or kube-lite reset", flag, want, have)
	}
	return nil
}

// Names are those of the instances that have their data directory below root, whether they run or not.
func Names(root string) (names []string) {
	dirs, _ := filepath.Glob(filepath.Join(root, "*", settingsFile)) // fails for malformed patterns only
	for _, path := range dirs {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	return names
}
