package docker

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// The statuses of a container, as Docker names them.
const (
	StatusCreated = "created"
	StatusRunning = "running"
	StatusPaused  = "paused"
	StatusExited  = "exited"
	StatusDead    = "dead"
)

// Container is what Docker knows of a container at one moment.
type Container struct {
	ID      string
	Name    string // without Docker's leading slash
	Image   string // the reference it was created from
	ImageID string // sha256:…
	Labels  map[string]string

	Status     string // one of the Status constants, restarting or removing
	Created    time.Time
	StartedAt  time.Time // zero: never started
	FinishedAt time.Time // zero: never ended
	ExitCode   int
	OOMKilled  bool
	// Error is why the last start failed, in Docker's words.
	Error string
	PID   int
	// StopSignal is the one that a stop begins with, such as SIGTERM: that of its ContainerSpec, or
	// else the image's.
	StopSignal string

	// Resources are those in force.
	Resources Resources
	// CgroupParent is that of its ContainerSpec.
	CgroupParent string
	// UpperDir is the directory of this machine that holds what the container wrote to its
	// image's files; empty where the storage driver has none. LogPath is the log file in
	// use; older ones lie beside it with a number.
	UpperDir, LogPath string

	// Network is that of its ContainerSpec.
	Network string
}

// Running tells that the container has a process, be it paused.
func (c Container) Running() bool { return c.Status == StatusRunning || c.Status == StatusPaused }

// Create makes a container and returns its ID. A missing image is IsNotFound, a
// name in use IsConflict.
func (e *Engine) Create(ctx context.Context, spec ContainerSpec) (string, error) {
	ctx, cancel := bounded(ctx, CreateTimeout)
	defer cancel()
	resp, err := e.cli.ContainerCreate(ctx, spec.config(), spec.hostConfig(), spec.networking(), nil, spec.Name)
	if err != nil {
		return "", failure(err, "create container %s", spec.Name)
	}
	return resp.ID, nil
}

// Start starts a created or ended container.
func (e *Engine) Start(ctx context.Context, id string) error {
	ctx, cancel := bounded(ctx, StartTimeout)
	defer cancel()
	if err := e.cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return failure(err, "start container %s", short(id))
	}
	return nil
}

// Stop sends the container's stop signal and, after grace, SIGKILL; it returns
// when the container has ended. Grace is rounded up to seconds. A container that
// has ended already is no error.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := bounded(ctx, grace+KillTimeout)
	defer cancel()
	seconds := int((grace + time.Second - 1) / time.Second)
	if err := e.cli.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds}); err != nil {
		return failure(err, "stop container %s", short(id))
	}
	return nil
}

// Kill sends a signal, such as SIGKILL.
func (e *Engine) Kill(ctx context.Context, id, signal string) error {
	ctx, cancel := bounded(ctx, KillTimeout)
	defer cancel()
	if err := e.cli.ContainerKill(ctx, id, signal); err != nil {
		return failure(err, "send %s to container %s", signal, short(id))
	}
	return nil
}

// Remove removes a container, running or not, and its anonymous volumes. When it returns
// without an error the container is gone, whoever removed it.
func (e *Engine) Remove(ctx context.Context, id string) error {
	ctx, cancel := bounded(ctx, RemoveTimeout)
	defer cancel()
	err := e.cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && strings.Contains(err.Error(), "already in progress") {
		err = e.awaitRemoved(ctx, id)
	}
	if err == nil || IsNotFound(err) {
		return nil
	}
	return failure(err, "remove container %s", short(id))
}

// awaitRemoved waits for a removal that was asked for earlier.
func (e *Engine) awaitRemoved(ctx context.Context, id string) error {
	ended, failed := e.cli.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case <-ended:
		return nil
	case err := <-failed:
		return err
	}
}

// Wait blocks until the container is not running and returns its exit code. It has
// no limit of its own: ctx bounds it.
func (e *Engine) Wait(ctx context.Context, id string) (int, error) {
	ended, failed := e.cli.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case resp := <-ended:
		return int(resp.StatusCode), nil
	case err := <-failed:
		return 0, failure(err, "wait for container %s", short(id))
	}
}

// Inspect reads everything about one container.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	resp, err := e.cli.ContainerInspect(ctx, id)
	if err != nil {
		return Container{}, failure(err, "inspect container %s", short(id))
	}
	return fromInspect(resp), nil
}

// List finds the containers, dead ones too, that carry all the labels; an empty
// value matches any. Only ID, Name, Image, ImageID, Labels, Status and Created are
// filled.
func (e *Engine) List(ctx context.Context, labels map[string]string) ([]Container, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	found, err := e.cli.ContainerList(ctx, container.ListOptions{All: true, Filters: labelFilter(labels)})
	if err != nil {
		return nil, failure(err, "list containers with %v", labels)
	}
	out := make([]Container, 0, len(found))
	for _, c := range found {
		out = append(out, fromSummary(c))
	}
	return out, nil
}

func labelFilter(labels map[string]string) filters.Args {
	args := filters.NewArgs()
	for k, v := range labels {
		if v != "" {
			k += "=" + v
		}
		args.Add("label", k)
	}
	return args
}

func fromSummary(c container.Summary) Container {
	out := Container{
		ID: c.ID, Image: c.Image, ImageID: c.ImageID, Labels: c.Labels,
		Status: c.State, Created: time.Unix(c.Created, 0),
	}
	if len(c.Names) > 0 {
		out.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	return out
}

func fromInspect(r container.InspectResponse) Container {
	out := Container{ID: r.ID, Name: strings.TrimPrefix(r.Name, "/"), ImageID: r.Image,
		Created: parseTime(r.Created), LogPath: r.LogPath, UpperDir: r.GraphDriver.Data["UpperDir"]}
	if h := r.HostConfig; h != nil {
		out.CgroupParent, out.Network = h.CgroupParent, string(h.NetworkMode)
		out.Resources = Resources{CPUShares: h.CPUShares, CPUQuota: h.CPUQuota, CPUPeriod: h.CPUPeriod, Memory: h.Memory}
	}
	if r.Config != nil {
		out.Image, out.Labels, out.StopSignal = r.Config.Image, r.Config.Labels, stopSignal(r.Config.StopSignal)
	}
	if s := r.State; s != nil {
		out.Status, out.ExitCode, out.OOMKilled, out.Error, out.PID = string(s.Status), s.ExitCode, s.OOMKilled, s.Error, s.Pid
		out.StartedAt, out.FinishedAt = parseTime(s.StartedAt), parseTime(s.FinishedAt)
	}
	return out
}

// parseTime reads Docker's RFC 3339 times; its "0001-01-01T00:00:00Z" is zero.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// short is the ID as people know it.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
