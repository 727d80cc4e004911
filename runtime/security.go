package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// applySecurity merges the Pod's security context with the container's, which wins.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
func applySecurity(spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) {
	ps, cs := pod.Spec.SecurityContext, c.SecurityContext
	if ps == nil {
		ps = &v1.PodSecurityContext{}
	}
	if cs == nil {
		cs = &v1.SecurityContext{}
	}
	spec.User = userOf(either(cs.RunAsUser, ps.RunAsUser), either(cs.RunAsGroup, ps.RunAsGroup))
	for _, g := range ps.SupplementalGroups {
		spec.Groups = append(spec.Groups, strconv.FormatInt(g, 10))
	}
	if ps.FSGroup != nil {
		spec.Groups = append(spec.Groups, strconv.FormatInt(*ps.FSGroup, 10))
	}
	spec.UnmaskPaths = cs.ProcMount != nil && *cs.ProcMount == v1.UnmaskedProcMount
	spec.Privileged = cs.Privileged != nil && *cs.Privileged
	spec.ReadOnlyRootFS = cs.ReadOnlyRootFilesystem != nil && *cs.ReadOnlyRootFilesystem
	if cs.AllowPrivilegeEscalation != nil && !*cs.AllowPrivilegeEscalation {
		spec.SecurityOpts = append(spec.SecurityOpts, "no-new-privileges")
	}
	if cs.Capabilities != nil {
		spec.CapAdd = capabilities(cs.Capabilities.Add)
		spec.CapDrop = capabilities(cs.Capabilities.Drop)
	}
}

// userOf is Docker's uid[:gid]. A group alone joins the image's user: see joinGroup.
func userOf(uid, gid *int64) string {
	switch {
	case uid == nil:
		return ""
	case gid == nil:
		return strconv.FormatInt(*uid, 10)
	}
	return strconv.FormatInt(*uid, 10) + ":" + strconv.FormatInt(*gid, 10)
}

func capabilities(in []v1.Capability) (out []string) {
	for _, c := range in {
		out = append(out, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
	}
	slices.Sort(out)
	return out
}

// seccompDir holds the Localhost profiles, below the agent's root as below a kubelet's.
const seccompDir = "seccomp"

// Where the kernel tells which security modules are at work.
const (
	appArmorEnabled = "/sys/module/apparmor/parameters/enabled"
	seLinuxMount    = "/sys/fs/selinux/enforce"
)

// confine applies the profiles of seccomp, AppArmor and SELinux.
// https://kubernetes.io/docs/concepts/security/linux-kernel-security-constraints/
func (a *Agent) confine(ctx context.Context, spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) error {
	ps, cs := pod.Spec.SecurityContext, c.SecurityContext
	if ps == nil {
		ps = &v1.PodSecurityContext{}
	}
	if cs == nil {
		cs = &v1.SecurityContext{}
	}
	if err := a.joinGroup(ctx, spec, pod, c); err != nil {
		return err
	}
	var err error
	if spec.Runtime, _, err = a.runtimeOf(ctx, pod); err != nil {
		return err
	}
	profile, err := a.seccomp(either(cs.SeccompProfile, ps.SeccompProfile))
	if err != nil {
		return &refusedError{err}
	}
	spec.SecurityOpts = append(spec.SecurityOpts, profile...)
	spec.SecurityOpts = append(spec.SecurityOpts, appArmor(either(cs.AppArmorProfile, ps.AppArmorProfile), hasAppArmor())...)
	spec.SecurityOpts = append(spec.SecurityOpts, seLinux(either(cs.SELinuxOptions, ps.SELinuxOptions), hasSELinux())...)
	return nil
}

// seccomp is Docker's option for a profile. Without one Kubernetes confines nothing,
// unlike Docker.
func (a *Agent) seccomp(p *v1.SeccompProfile) ([]string, error) {
	switch {
	case p == nil || p.Type == v1.SeccompProfileTypeUnconfined:
		return []string{"seccomp=unconfined"}, nil
	case p.Type != v1.SeccompProfileTypeLocalhost || p.LocalhostProfile == nil:
		return nil, nil // Docker's own is the default
	}
	path := filepath.Join(a.opts.Root, seccompDir, filepath.Clean("/"+*p.LocalhostProfile))
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

// verifyNonRoot holds a container to its runAsNonRoot, in a kubelet's words. Without its
// image it cannot be verified, and the container must not be created meanwhile.
func (a *Agent) verifyNonRoot(ctx context.Context, pod *v1.Pod, c *v1.Container) error {
	ps, cs := pod.Spec.SecurityContext, c.SecurityContext
	if ps == nil {
		ps = &v1.PodSecurityContext{}
	}
	if cs == nil {
		cs = &v1.SecurityContext{}
	}
	if must := either(cs.RunAsNonRoot, ps.RunAsNonRoot); must == nil || !*must {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", pod.Name+"_"+pod.Namespace+"("+string(pod.UID)+")", c.Name)
	if uid := either(cs.RunAsUser, ps.RunAsUser); uid != nil {
		if *uid == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return nil
	}
	image, err := a.engine.Image(ctx, c.Image)
	if err != nil {
		return err
	}
	user, _, _ := strings.Cut(image.User, ":")
	uid, err := strconv.ParseInt(user, 10, 64)
	switch {
	case user == "" || err == nil && uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", user, where)
	}
	return nil
}

// unsafeHere names what a Pod asks for that this node cannot keep it safe with; nil if
// there is nothing. Such a Pod is turned away rather than run with less.
func unsafeHere(pod *v1.Pod, appArmor bool) *rejection {
	for _, c := range allContainers(pod) {
		if sc := c.SecurityContext; sc != nil && needsAppArmor(sc.AppArmorProfile) && !appArmor {
			return noAppArmor
		}
	}
	ps := pod.Spec.SecurityContext
	switch {
	case pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers:
		return &rejection{"UserNamespacesNotSupported", "hostUsers: false asks for a user namespace of the Pod's own, which the Docker Engine cannot give to one Pod"}
	case ps == nil:
		return nil
	case needsAppArmor(ps.AppArmorProfile) && !appArmor:
		return noAppArmor
	case ps.SupplementalGroupsPolicy != nil && *ps.SupplementalGroupsPolicy == v1.SupplementalGroupsPolicyStrict:
		return &rejection{"SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"}
	}
	for _, s := range ps.Sysctls {
		if !namespacedSysctl(s.Name, pod.Spec) {
			return &rejection{"SysctlForbidden", fmt.Sprintf("forbidden sysctl: %q not allowlisted", s.Name)}
		}
	}
	return nil
}

var noAppArmor = &rejection{"AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"}

func needsAppArmor(p *v1.AppArmorProfile) bool {
	return p != nil && p.Type == v1.AppArmorProfileTypeLocalhost
}

// namespacedSysctl tells whether a parameter of the kernel can be set for one Pod alone.
// A kubelet lets only the safe ones of these through unless told otherwise; a machine of
// one's own has no neighbours to protect.
// https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
func namespacedSysctl(name string, spec v1.PodSpec) bool {
	name = strings.ReplaceAll(name, "/", ".")
	switch {
	case strings.HasPrefix(name, "net."):
		return !spec.HostNetwork
	case strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"), name == "kernel.sem", strings.HasPrefix(name, "fs.mqueue."):
		return !spec.HostIPC
	}
	return false
}

// allContainers are all that a Pod declares.
func allContainers(pod *v1.Pod) []v1.Container {
	return slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers, ephemerals(pod))
}
