package spec

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Docker merges the groups that an image gives its users into a container's only if the
// container's user is declared without a group. A kubelet merges them, or does not, as the
// Pod's supplementalGroupsPolicy says, so what Docker does otherwise is spelled out for it. One
// case is left as Docker has it, since each container of each Pod would have to ask for its
// image: to a user whose group the image names too, and the Pod does not, no others are added.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#supplementalgroupspolicy

// applyUser gives a container the user and groups that a kubelet gives it, where Docker
// would not.
func (b *Builder) applyUser(ctx context.Context, spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) error {
	sc, strict := pods.SecurityContext(pod, c), isStrict(pod)
	if sc.RunAsGroup == nil && !strict || strict && sc.RunAsUser != nil && sc.RunAsGroup != nil {
		return nil
	}
	image, err := b.config.Engine.Image(ctx, c.Image)
	if err != nil {
		return err
	}
	name, group, _ := strings.Cut(image.User, ":")
	if sc.RunAsUser != nil {
		name, group = strconv.FormatInt(*sc.RunAsUser, 10), ""
	}
	if name == "" {
		name = "0"
	}
	if sc.RunAsGroup != nil {
		group = strconv.FormatInt(*sc.RunAsGroup, 10)
	}
	spec.User = name + ":" + group
	if strict && group != "" {
		return nil
	}
	found, err := b.config.Account(ctx, pod, c, image.ID, name)
	if err != nil {
		return err
	}
	if strict {
		spec.User = name + ":" + strconv.Itoa(found.Gid)
		return nil
	}
	for _, g := range found.Sgids {
		if text := strconv.Itoa(g); text != group && !slices.Contains(spec.Groups, text) {
			spec.Groups = append(spec.Groups, text)
		}
	}
	return nil
}

func isStrict(pod *v1.Pod) bool {
	ps := pod.Spec.SecurityContext
	return ps != nil && ps.SupplementalGroupsPolicy != nil && *ps.SupplementalGroupsPolicy == v1.SupplementalGroupsPolicyStrict
}

// IsRoot tells of a user as images and Docker declare it, USER[:GROUP].
func IsRoot(declared string) bool {
	name, _, _ := strings.Cut(declared, ":")
	return name == "" || name == "0" || name == "root"
}

// Identity is who a container runs as: the numbers of what is declared or, if that is empty, of
// its image's user.
func (b *Builder) Identity(ctx context.Context, pod *v1.Pod, c *v1.Container, declared string) (uid, gid int, err error) {
	image, err := b.config.Engine.Image(ctx, c.Image)
	if err != nil {
		return 0, 0, err
	}
	declared = cmp.Or(declared, image.User)
	if IsRoot(declared) {
		return 0, 0, nil
	}
	name, group, _ := strings.Cut(declared, ":")
	uid, notUID := strconv.Atoi(name)
	gid, notGID := strconv.Atoi(group)
	if notUID == nil && notGID == nil {
		return uid, gid, nil
	}
	found, err := b.config.Account(ctx, pod, c, image.ID, declared)
	if err != nil {
		return 0, 0, err
	}
	return found.Uid, found.Gid, nil
}
