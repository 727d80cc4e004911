package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/orchestrator"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/prune"
	"github.com/kube-lite/kube-lite/store"
)

var (
	// ErrNotRunning says that no daemon holds the data directory.
	ErrNotRunning = errors.New("not running")
	// ErrNoInstance says that there is nothing to reset.
	ErrNoInstance = errors.New("there is no instance")
)

const (
	// killAfter is how long a daemon that was asked to stop may take: its own
	// limits, and then some.
	killAfter = stopLimit + cleanLimit + 10*time.Second
	// stopInterval is how often Stop looks whether it has ended.
	stopInterval = 20 * time.Millisecond
)

// Stop asks the running daemon to stop its pods and itself, and waits for it. One that is
// stopping is not asked again, which would end it at once and leave its containers running.
// The error matches ErrNotRunning when there is none.
func Stop(ctx context.Context, cfg Config) error {
	info, running, err := Lookup(cfg)
	if err != nil {
		return err
	}
	if !running {
		return ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, killAfter)
	defer cancel()
	for asked := 0; ; { // the pid
		// A daemon that has only just taken the lock has not yet said its pid.
		if info.PID != 0 && asked == 0 {
			if err := askToStop(info); err != nil {
				return err
			}
			asked = info.PID
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pid %d has not stopped: %w", info.PID, ctx.Err())
		case <-time.After(stopInterval):
		}
		if info, running, err = Lookup(cfg); err != nil || !running {
			return err
		}
		if asked != 0 && info.PID != 0 && info.PID != asked { // a start waited for it as well
			return nil
		}
	}
}

func askToStop(info Info) error {
	if info.Stopping {
		return nil
	}
	if err := syscall.Kill(info.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop pid %d: %w", info.PID, err)
	}
	return nil
}

// AwaitStopped waits while the instance's daemon is stopping. It returns at once when there is
// none, or one that is not.
func AwaitStopped(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, killAfter)
	defer cancel()
	for {
		info, running, err := Lookup(cfg)
		if err != nil || !running || !info.Stopping {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("pid %d has not stopped: %w", info.PID, ctx.Err())
		case <-time.After(stopInterval):
		}
	}
}

// Remaining is what a stop or a reset still has to end.
func Remaining(ctx context.Context, cfg Config) (prune.Remaining, error) {
	engine, err := keptSettings(cfg).connect(ctx, cfg)
	if err != nil {
		return prune.Remaining{}, err
	}
	defer engine.Close()
	return prune.Remain(ctx, engine, cfg.Name)
}

// Exists tells whether anything is left of the instance, in its data directory or on its engine.
// It refuses what contradicts the instance's settings.
func Exists(ctx context.Context, cfg Config) (bool, error) {
	kept := keptSettings(cfg)
	if kept.Name != "" {
		return true, kept.check(cfg)
	}
	for _, name := range instanceFiles {
		if _, err := os.Lstat(cfg.path(name)); err == nil {
			return true, nil
		}
	}
	engine, err := kept.connect(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer engine.Close()
	left, err := prune.Remain(ctx, engine, cfg.Name)
	if err != nil || left.Containers > 0 {
		return left.Containers > 0, err
	}
	_, network, err := engine.Network(ctx, docker.NetworkName(cfg.Name))
	return network, err
}

// Reset removes the instance: its daemon, containers, pod volumes, network,
// route, chains and data. What is already gone is no error, so a reset that
// was interrupted can be repeated; the error matches ErrNoInstance when all of it was. With docker.ErrEndpointMiscounted only the network is left.
func Reset(ctx context.Context, cfg Config) error {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return err
	}
	if err := CheckRoot(); err != nil {
		return err
	}
	exists, err := Exists(ctx, cfg) // it refuses before anything is stopped
	if err != nil {
		return err
	}
	if !exists { // rules may be left of one that somebody removed by hand
		return errors.Join(fmt.Errorf("%w %q", ErrNoInstance, cfg.Name), removeRules(ctx, cfg))
	}
	engine, err := keptSettings(cfg).connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := Stop(ctx, cfg); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	had, err := acquire(cfg)
	if err != nil {
		return err
	}
	defer had.release()
	stays := prune.All(ctx, engine, cfg.Name, cfg.DataDir)
	if stays != nil && !errors.Is(stays, docker.ErrEndpointMiscounted) {
		return stays
	}
	if err := removeRules(ctx, cfg); err != nil {
		return err
	}
	if err := removeFiles(cfg, cfg.Log); err != nil {
		return err
	}
	if stays != nil {
		return fmt.Errorf("all else is removed: %w", stays)
	}
	return nil
}

// removeRules takes back what the instance changed of the machine's network.
func removeRules(ctx context.Context, cfg Config) error {
	kept := keptSettings(cfg)
	if err := disableHostDNS(ctx, cfg); err != nil { // of a daemon that was killed
		return err
	}
	opts := netproxy.Options{Instance: cfg.Name, Bridge: bridgeName(cfg.Name), Log: cfg.Log}
	if kept.PodCIDR.IsValid() {
		kept.addTo(&opts)
	}
	return netproxy.Cleanup(ctx, opts)
}

// keptSettings are those of the instance, or none: a reset mends what a start refuses.
func keptSettings(cfg Config) settings {
	kept, _, err := loadSettings(cfg)
	if err != nil {
		cfg.Log.Warn("settings are unreadable", "error", err)
		return settings{}
	}
	return kept
}

// StoredClaims are the claims, as NAMESPACE/NAME, whose data a reset of the instance removes.
func StoredClaims(cfg Config) ([]string, error) { return orchestrator.StoredClaims(cfg.VolumesPath()) }

// instanceFiles are all that an instance has in its data directory.
var instanceFiles = []string{
	podsDir, nodesDir, volumesDir, pkiDir, kubeconfigFile, storeFile, storeFile + store.RewriteSuffix,
	encryptionFile, encryptionFile + ".next", logFile, logFile + OldSuffix, settingsFile, settingsFile + ".next", hostDNSFile, lockFile,
}

// removeFiles removes the files of an instance by name, and the directory when
// nothing else is in it: a user may have pointed --data-dir anywhere.
func removeFiles(cfg Config, log *slog.Logger) error {
	for _, name := range instanceFiles {
		if err := os.RemoveAll(cfg.path(name)); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	err := RemoveEmpty(cfg)
	if errors.Is(err, syscall.ENOTEMPTY) {
		log.Warn("the data directory holds files of others and stays", "path", cfg.DataDir)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// RemoveEmpty removes the data directory, and the default root above it, unless
// something is in them.
func RemoveEmpty(cfg Config) error {
	err := os.Remove(cfg.DataDir)
	if filepath.Dir(cfg.DataDir) == DefaultRoot {
		_ = os.Remove(DefaultRoot) // another instance may be in it
	}
	return err
}

// OldSuffix names the log of the start before.
const OldSuffix = ".old"
