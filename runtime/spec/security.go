package spec

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// applySecurity applies what needs no look at the image or the host; see Confine.
func applySecurity(spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) {
	sc := pods.SecurityContext(pod, c)
	spec.User = userOf(sc.RunAsUser, sc.RunAsGroup)
	if ofPod := pod.Spec.SecurityContext; ofPod != nil {
		for _, g := range ofPod.SupplementalGroups {
			spec.Groups = append(spec.Groups, strconv.FormatInt(g, 10))
		}
	}
	if group := pods.FSGroup(pod); group != nil {
		spec.Groups = append(spec.Groups, strconv.FormatInt(*group, 10))
	}
	spec.UnmaskPaths = sc.ProcMount != nil && *sc.ProcMount == v1.UnmaskedProcMount
	spec.Privileged = sc.Privileged != nil && *sc.Privileged
	spec.ReadOnlyRootFS = sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
		spec.SecurityOpts = append(spec.SecurityOpts, "no-new-privileges")
	}
	if sc.Capabilities != nil {
		spec.CapAdd = capabilities(sc.Capabilities.Add)
		spec.CapDrop = capabilities(sc.Capabilities.Drop)
	}
}

// userOf is Docker's uid[:gid]. A group alone joins the image's user: see applyUser.
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

// VerifyNonRoot holds a container to its runAsNonRoot, in a kubelet's words. Without its
// image it cannot be verified, and the container must not be created meanwhile.
func (b *Builder) VerifyNonRoot(ctx context.Context, pod *v1.Pod, c *v1.Container) error {
	sc := pods.SecurityContext(pod, c)
	if sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", pod.Name+"_"+pod.Namespace+"("+string(pod.UID)+")", c.Name)
	if sc.RunAsUser != nil {
		if *sc.RunAsUser == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
		}
		return nil
	}
	image, err := b.config.Engine.Image(ctx, c.Image)
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
