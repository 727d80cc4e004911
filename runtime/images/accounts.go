package images

import (
	"bytes"
	"context"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/moby/sys/user"
	"golang.org/x/sync/singleflight"
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/lru"
)

// accountsContainer begins the name of the container that an image's accounts are read from;
// no declared container can have such a name.
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
	engine Engine
	known  *lru.Cache // map[string][]byte by image ID
	reads  singleflight.Group
}

func newAccounts(e Engine) *accounts { return &accounts{engine: e, known: lru.New(accountsKept)} }

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

// Account finds a user of an image, by name or number, with the group that may follow after a
// colon or else its own. To a number that the image does not know it gives the group 0, as Docker does.
func (m *Images) Account(ctx context.Context, pod *v1.Pod, c *v1.Container, imageID, name string) (*user.ExecUser, error) {
	container := accountsContainer + c.Name
	spec := docker.ContainerSpec{Name: pods.DockerName(pods.RefOf(pod), container, 0), Image: imageID, Labels: m.config.Owner.Labels(pod, container, 0)}
	spec.Labels[pods.LabelType] = pods.TypeContainer
	texts, err := m.accounts.of(ctx, spec)
	if err != nil {
		return nil, err
	}
	return user.GetExecUser(name, nil, bytes.NewReader(texts[passwdPath]), bytes.NewReader(texts[groupPath]))
}
