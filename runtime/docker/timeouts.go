package docker

import (
	"context"
	"time"
)

// Every call has one of these limits: an engine that hangs must cost one worker
// some time, never all of them forever. They are far above what a busy engine
// needs (a start takes 0.2 s alone and some seconds when sixty run at once).
const (
	// ConnectTimeout bounds the first contact, so that a dead TCP host does not
	// keep the user waiting.
	ConnectTimeout = 10 * time.Second
	// PingTimeout bounds the heartbeat's question.
	PingTimeout = 5 * time.Second
	// QueryTimeout bounds reads: inspect, list, info.
	QueryTimeout = 30 * time.Second
	// CreateTimeout bounds create, which copies image content into volumes.
	CreateTimeout = 2 * time.Minute
	// StartTimeout bounds start, which sets up networks and runs runc.
	StartTimeout = 2 * time.Minute
	// UpdateTimeout bounds a change of resources, which runs runc.
	UpdateTimeout = 30 * time.Second
	// KillTimeout bounds kill and what a stop needs beyond its grace period.
	KillTimeout = 30 * time.Second
	// RemoveTimeout bounds the removal of a container's or image's files.
	RemoveTimeout = 2 * time.Minute
	// leftoverTimeout bounds the removal of what can be removed later, by somebody who may have
	// been told to end.
	leftoverTimeout = 5 * time.Second
	// LoadTimeout bounds the loading of an image archive.
	LoadTimeout = 2 * time.Minute
	// KeychainTimeout bounds the programs that read the docker command's credentials.
	KeychainTimeout = 20 * time.Second
	// DiskUsageTimeout bounds df, which walks the files of every container.
	DiskUsageTimeout = 5 * time.Minute
)

// bounded is context.WithTimeout under a name that fits in one line with its use.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, limit)
}
