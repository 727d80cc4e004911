package prune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/runtime/volume"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Options say what to remove, and where.
type Options struct {
	// Instance is the instance's name, Root the directory that its agent was given.
	Instance, Root string
	// Images removes images too: those that no object of the instance refers to and no
	// container of anybody uses.
	Images bool
	// DryRun only tells what would be removed.
	DryRun bool
	// Progress, if set, is told what takes time before it is done.
	Progress func(string)
}

func (o Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// The kinds of what is pruned.
const (
	Container = "container"
	Directory = "directory"
	Image     = "image"
)

// Item is one thing that was removed, or would be.
type Item struct {
	Kind  string // Container, Directory or Image
	Name  string
	Bytes int64 // what it frees on disk
}

// engine is what pruning needs of Docker.
type engine interface {
	List(ctx context.Context, labels map[string]string) ([]docker.Container, error)
	Remove(ctx context.Context, id string) error
	Images(ctx context.Context) ([]docker.Image, error)
	RemoveImage(ctx context.Context, ref string, force bool) error
	DiskUsage(ctx context.Context) (docker.DiskUsage, error)
}

// Run removes what an instance no longer needs: containers and directories of Pods
// that the API does not know any more, dead containers that a later one has replaced
// (`logs --previous` has nothing to show then), and with Images the images that nobody
// needs. It may run beside the agent. On an error it returns what it removed until then.
func Run(ctx context.Context, engine *docker.Engine, client kubernetes.Interface, opts Options) ([]Item, error) {
	return run(ctx, engine, client, opts)
}

func run(ctx context.Context, engine engine, client kubernetes.Interface, opts Options) ([]Item, error) {
	// Containers are listed before Pods: a Pod made in between is not mistaken for a
	// deleted one.
	found, err := engine.List(ctx, docker.InstanceLabel(opts.Instance))
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	opts.progress("asking Docker what takes disk space")
	usage, err := engine.DiskUsage(ctx)
	if err != nil {
		return nil, err
	}
	p := &pruning{opts: opts, engine: engine, usage: usage, known: map[types.UID]bool{}}
	for _, pod := range pods.Items {
		p.known[pod.UID] = true
	}
	if err := p.containers(ctx, found); err != nil {
		return p.done, err
	}
	if err := p.directories(); err != nil {
		return p.done, err
	}
	if !opts.Images {
		return p.done, nil
	}
	refs, err := referredImages(ctx, client)
	if err != nil {
		return p.done, err
	}
	return p.done, p.images(ctx, refs)
}

// pruning is one call of Run.
type pruning struct {
	opts   Options
	engine engine
	usage  docker.DiskUsage
	known  map[types.UID]bool
	done   []Item
}

// act removes one thing unless this is a dry run, and notes it.
func (p *pruning) act(what Item, remove func() error) error {
	if !p.opts.DryRun {
		p.opts.progress("removing %s %s", what.Kind, what.Name)
		if err := remove(); err != nil {
			return err
		}
	}
	p.done = append(p.done, what)
	return nil
}

func (p *pruning) containers(ctx context.Context, found []docker.Container) error {
	latest := map[string]pods.Instance{}
	var ours []pods.Instance
	key := func(i pods.Instance) string { return string(i.Pod.UID) + "/" + i.ContainerName }
	for _, c := range found {
		i, ok := pods.InstanceOf(c)
		if !ok {
			continue
		}
		ours = append(ours, i)
		if last, ok := latest[key(i)]; !ok || i.Attempt > last.Attempt {
			latest[key(i)] = i
		}
	}
	for _, i := range ours {
		replaced := i.ID != latest[key(i)].ID && (i.Status == docker.StatusExited || i.Status == docker.StatusDead)
		if p.known[i.Pod.UID] && !replaced {
			continue
		}
		err := p.act(Item{Container, i.Name, p.usage.Containers[i.ID]}, func() error { return p.engine.Remove(ctx, i.ID) })
		if err != nil {
			return err
		}
		p.usage.InUse[i.ImageID]--
	}
	return nil
}

func (p *pruning) directories() error {
	for _, dir := range pods.NodeRoots(p.opts.Root) {
		if err := p.directoriesIn(pods.Dirs{Root: dir}.All()); err != nil {
			return err
		}
	}
	return nil
}

// directoriesIn removes those of Pods that the API does not know.
func (p *pruning) directoriesIn(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, e := range entries {
		if p.known[types.UID(e.Name())] {
			continue
		}
		path := filepath.Join(root, e.Name())
		if err := p.act(Item{Directory, path, diskSize(path)}, func() error {
			return errors.Join(limits.RemoveGroups(usage.Cgroups{}, limits.PodPath(p.opts.Instance, types.UID(e.Name()))), volume.RemoveTree(path))
		}); err != nil {
			return err
		}
	}
	return nil
}

// images removes what neither an object nor a container needs.
func (p *pruning) images(ctx context.Context, refs map[string]bool) error {
	found, err := p.engine.Images(ctx)
	if err != nil {
		return err
	}
	for _, i := range found {
		if p.usage.InUse[i.ID] > 0 || isReferred(i, refs) {
			continue
		}
		name := i.ID
		if len(i.Tags) > 0 {
			name = i.Tags[0]
		}
		err := p.act(Item{Image, name, p.usage.Images[i.ID]}, func() error {
			err := p.engine.RemoveImage(ctx, i.ID, len(i.Tags) > 1)
			if docker.IsConflict(err) { // somebody uses it since, or builds on it
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// diskSize is what a directory's files take, as far as they can be read.
func diskSize(path string) (bytes int64) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
