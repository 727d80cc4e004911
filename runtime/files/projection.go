package files

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/securitycontext"
)

// defaultFileMode is the mode of projected files that declare none.
const defaultFileMode = 0o644

// tokenFileMode is the mode of a token whose reader is known.
// https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
const tokenFileMode = 0o600

// Project writes a volume's files, unless they are those that it has, and returns which it has then.
func (f *Files) Project(ctx context.Context, pod *v1.Pod, v v1.Volume, has volume.Files) (volume.Files, error) {
	p := &projection{ctx: ctx, pod: pod, node: f.config.Node(), from: f, tokens: f.config.Tokens.token, files: volume.Files{}}
	if err := p.volume(v); err != nil {
		return has, err
	}
	if has.Equal(p.files) {
		return has, nil
	}
	if err := volume.WriteAtomically(f.config.Dirs.Volume(pod.UID, v), p.files, pods.FSGroup(pod)); err != nil {
		return has, err
	}
	return p.files, nil
}

// IsProjection tells that a volume's files come from API objects.
func IsProjection(v v1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

// projection collects the files of one volume.
type projection struct {
	ctx  context.Context //nolint:containedctx // lives as long as one call
	pod  *v1.Pod
	node Node
	from sources
	// tokens finds the token that is declared.
	tokens func(context.Context, *v1.Pod, *v1.ServiceAccountTokenProjection) (string, error)
	files  volume.Files
}

func (p *projection) volume(v v1.Volume) error {
	switch {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		return p.configMap(s.Name, s.Items, s.DefaultMode, s.Optional)
	case v.Secret != nil:
		s := v.Secret
		return p.secret(s.SecretName, s.Items, s.DefaultMode, s.Optional)
	case v.DownwardAPI != nil:
		return p.downward(v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	}
	for _, s := range v.Projected.Sources {
		if err := p.source(s, v.Projected.DefaultMode); err != nil {
			return err
		}
	}
	return nil
}

// source adds one source of a projected volume.
func (p *projection) source(s v1.VolumeProjection, mode *int32) error {
	switch {
	case s.ConfigMap != nil:
		return p.configMap(s.ConfigMap.Name, s.ConfigMap.Items, mode, s.ConfigMap.Optional)
	case s.Secret != nil:
		return p.secret(s.Secret.Name, s.Secret.Items, mode, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return p.downward(s.DownwardAPI.Items, mode)
	case s.ServiceAccountToken != nil:
		token, err := p.tokens(p.ctx, p.pod, s.ServiceAccountToken)
		if err != nil {
			return err
		}
		p.addToken(s.ServiceAccountToken.Path, token, mode)
	}
	return nil // the others are named in an event
}

func (p *projection) configMap(name string, items []v1.KeyToPath, mode *int32, opt *bool) error {
	m, err := p.from.ConfigMap(p.ctx, p.pod.Namespace, name)
	if missing(err, opt) {
		return nil
	} else if err != nil {
		return err
	}
	data := maps.Clone(m.Data)
	if data == nil {
		data = map[string]string{}
	}
	for k, v := range m.BinaryData {
		data[k] = string(v)
	}
	return p.items(data, items, mode, opt, "configmap references non-existent config key: %s")
}

func (p *projection) secret(name string, items []v1.KeyToPath, mode *int32, opt *bool) error {
	m, err := p.from.Secret(p.ctx, p.pod.Namespace, name)
	if missing(err, opt) {
		return nil
	} else if err != nil {
		return err
	}
	data := map[string]string{}
	for k, v := range m.Data {
		data[k] = string(v)
	}
	return p.items(data, items, mode, opt, "references non-existent secret key: %s")
}

// items adds all keys, or those that are asked for under their paths. A key that is not
// there is told in a kubelet's words, missing.
func (p *projection) items(data map[string]string, items []v1.KeyToPath, mode *int32, opt *bool, missing string) error {
	if len(items) == 0 {
		for _, k := range slices.Sorted(maps.Keys(data)) {
			p.add(k, data[k], nil, mode)
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if optional(opt) {
				continue
			}
			return fmt.Errorf(missing, item.Key)
		}
		p.add(item.Path, value, item.Mode, mode)
	}
	return nil
}

func (p *projection) downward(items []v1.DownwardAPIVolumeFile, mode *int32) error {
	for _, item := range items {
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = fieldRef(p.pod, p.node, pods.IPsOf(p.pod.Status), item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = resourceFieldRef(p.pod, &v1.Container{}, p.node, item.ResourceFieldRef)
		}
		if err != nil {
			return err
		}
		p.add(item.Path, value, item.Mode, mode)
	}
	return nil
}

// add adds a file; its own mode wins over the one that all files of the volume share.
func (p *projection) add(path, data string, own, shared *int32) {
	mode := int32(defaultFileMode)
	if m := cmp.Or(own, shared); m != nil {
		mode = *m
	}
	p.files[path] = volume.File{Data: data, Mode: mode}
}

// addToken adds a token. Where it is known who will read it, nobody else can: the one
// user that all containers declare, or the Pod's fsGroup.
func (p *projection) addToken(path, token string, shared *int32) {
	p.add(path, token, nil, shared)
	f, user := p.files[path], oneUser(p.pod)
	if user != nil {
		f.Owner = *user
	}
	if user != nil || pods.FSGroup(p.pod) != nil {
		f.Mode = tokenFileMode
	}
	p.files[path] = f
}

// oneUser is the user that every container of the Pod declares, or nil.
func oneUser(pod *v1.Pod) (one *int64) {
	podutil.VisitContainers(&pod.Spec, podutil.AllContainers, func(c *v1.Container, _ podutil.ContainerType) bool {
		user := securitycontext.DetermineEffectiveSecurityContext(pod, c).RunAsUser
		if user == nil || one != nil && *one != *user {
			one = nil
			return false
		}
		one = user
		return true
	})
	return one
}
