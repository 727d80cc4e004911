package runtime

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/moby/sys/user"
	"golang.org/x/sync/singleflight"
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/lru"
)

// Docker merges the groups that an image gives its users into a container's only if the
// container's user is declared without a group. A kubelet merges them, or does not, as the
// Pod's supplementalGroupsPolicy says, so what Docker does otherwise is spelled out for it. One
// case is left as Docker has it, since each container of each Pod would have to ask for its
// image: to a user whose group the image names too, and the Pod does not, no others are added.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#supplementalgroupspolicy

// accountsContainer begins the name of the container that an image's accounts are read from;
// see imageVolumeContainer.
const accountsContainer = "image-accounts."

// Where an image has its users and groups; see passwd(5) and group(5).
const (
	passwdPath = "/etc/passwd"
	groupPath  = "/etc/group"
)

// accountsKept is of how many images the accounts are kept, some KB each.
const accountsKept = 100

// accounts are the users and groups of images. An image does not change, so they are read
// once.
type accounts struct {
	engine imageEngine
	known  *lru.Cache // map[string][]byte by image ID
	reads  singleflight.Group
}

func newAccounts(e imageEngine) *accounts { return &accounts{engine: e, known: lru.New(accountsKept)} }

// of reads the files; spec is the container to read them from.
func (s *accounts) of(ctx context.Context, spec docker.ContainerSpec) (map[string][]byte, error) {
	read, err, _ := s.reads.Do(spec.Image, func() (any, error) {
		if known, ok := s.known.Get(spec.Image); ok {
			return known, nil
		}
		texts, err := s.engine.ImageTexts(ctx, spec, passwdPath, groupPath)
		if err == nil {
			s.known.Add(spec.Image, texts)
		}
		return texts, err
	})
	texts, _ := read.(map[string][]byte)
	return texts, err
}

// applyUser gives a container the user and groups that a kubelet gives it, where Docker
// would not.
func (a *Agent) applyUser(ctx context.Context, spec *docker.ContainerSpec, pod *v1.Pod, c *v1.Container) error {
	sc, strict := pods.SecurityContext(pod, c), isStrict(pod)
	if sc.RunAsGroup == nil && !strict || strict && sc.RunAsUser != nil && sc.RunAsGroup != nil {
		return nil
	}
	image, err := a.engine.Image(ctx, c.Image)
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
	found, err := a.account(ctx, pod, c, image.ID, name)
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

// account finds a user of an image, by name or number, with the group that may follow after a
// colon or else its own. To a number that the image does not
// know it gives the group 0, as Docker does.
func (a *Agent) account(ctx context.Context, pod *v1.Pod, c *v1.Container, imageID, name string) (*user.ExecUser, error) {
	container := accountsContainer + c.Name
	spec := docker.ContainerSpec{Name: pods.DockerName(pods.RefOf(pod), container, 0), Image: imageID, Labels: pods.Labels(a.opts.Instance, pod, container, 0)}
	spec.Labels[pods.LabelType] = pods.TypeContainer
	texts, err := a.accounts.of(ctx, spec)
	if err != nil {
		return nil, err
	}
	return user.GetExecUser(name, nil, bytes.NewReader(texts[passwdPath]), bytes.NewReader(texts[groupPath]))
}

func isStrict(pod *v1.Pod) bool {
	ps := pod.Spec.SecurityContext
	return ps != nil && ps.SupplementalGroupsPolicy != nil && *ps.SupplementalGroupsPolicy == v1.SupplementalGroupsPolicyStrict
}
