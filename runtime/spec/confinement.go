package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// SeccompDir holds the Localhost profiles, below Config.Root as below a kubelet's.
const SeccompDir = "seccomp"

// Where the kernel tells which security modules are at work.
const (
	appArmorEnabled = "/sys/module/apparmor/parameters/enabled"
	seLinuxMount    = "/sys/fs/selinux/enforce"
)

// Confine applies what takes a look at the image, at Docker or at this machine: the image's
// user, the runtime, and the profiles of seccomp, AppArmor and SELinux.
// https://kubernetes.io/docs/concepts/security/linux-kernel-security-constraints/
func (b *Builder) Confine(ctx context.Context, spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) error {
	sc := pods.SecurityContext(pod, c)
	if err := b.applyUser(ctx, spec, pod, c); err != nil {
		return err
	}
	var err error
	if spec.Runtime, _, err = b.Runtime(ctx, pod); err != nil {
		return err
	}
	profile, err := b.seccomp(sc.SeccompProfile)
	if err != nil {
		return &pods.RefusedError{Err: err}
	}
	spec.SecurityOpts = append(spec.SecurityOpts, profile...)
	spec.SecurityOpts = append(spec.SecurityOpts, appArmor(sc.AppArmorProfile, hasAppArmor())...)
	spec.SecurityOpts = append(spec.SecurityOpts, seLinux(sc.SELinuxOptions, hasSELinux())...)
	return nil
}

// seccomp is Docker's option for a profile. Without one Kubernetes confines nothing,
// unlike Docker.
func (b *Builder) seccomp(p *v1.SeccompProfile) ([]string, error) {
	switch {
	case p == nil || p.Type == v1.SeccompProfileTypeUnconfined:
		return []string{"seccomp=unconfined"}, nil
	case p.Type != v1.SeccompProfileTypeLocalhost || p.LocalhostProfile == nil:
		return nil, nil // Docker's own is the default
	}
	path := filepath.Join(b.config.Root, SeccompDir, filepath.Clean("/"+*p.LocalhostProfile))
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load seccomp profile %q: %w", *p.LocalhostProfile, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("cannot load seccomp profile %q: %s: %w", *p.LocalhostProfile, path, err)
	}
	return []string{"seccomp=" + compact.String()}, nil
}

// appArmor is Docker's option for a profile, where the host has AppArmor.
func appArmor(p *v1.AppArmorProfile, enabled bool) []string {
	switch {
	case p == nil || !enabled:
		return nil
	case p.Type == v1.AppArmorProfileTypeUnconfined:
		return []string{"apparmor=unconfined"}
	case p.Type == v1.AppArmorProfileTypeLocalhost && p.LocalhostProfile != nil:
		return []string{"apparmor=" + *p.LocalhostProfile}
	}
	return nil
}

// seLinux is Docker's options for a label, where the host has SELinux.
func seLinux(o *v1.SELinuxOptions, enabled bool) (out []string) {
	if o == nil || !enabled {
		return nil
	}
	for _, part := range []struct{ name, value string }{{"user", o.User}, {"role", o.Role}, {"type", o.Type}, {"level", o.Level}} {
		if part.value != "" {
			out = append(out, "label="+part.name+":"+part.value)
		}
	}
	return out
}

func hasAppArmor() bool {
	text, err := os.ReadFile(appArmorEnabled)
	return err == nil && strings.HasPrefix(string(text), "Y")
}

func hasSELinux() bool {
	_, err := os.Stat(seLinuxMount)
	return err == nil
}
