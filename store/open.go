package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// ErrInUse says that another process has the store file open.
var ErrInUse = errors.New("store file is in use")

// ErrCorrupt says that the store file exists but is not what a Store wrote: truncated, garbled, or another program's.
// Open never repairs such a file and never starts over with an empty one.
var ErrCorrupt = errors.New("store file is damaged")

const (
	// lockTimeout is how long Open waits for a daemon that is just ending to let go of the file.
	lockTimeout = 500 * time.Millisecond
	lockRetry   = 20 * time.Millisecond

	fileMode = 0o600 // Secrets are in it

	// firstRevision is a new file's. Not 0, which means "any" in the API.
	firstRevision = 1

	fileFormat = "kube-lite store 1"
)

// openFile opens the file at path and returns the revision it is at. A missing file is made.
func openFile(path string, opts Options) (*file, uint64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createFile(path); err != nil {
			return nil, 0, fmt.Errorf("create store file %s: %w", path, err)
		}
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open store file: %w", err)
	}
	rev, err := checkFile(f, opts.Log)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	db, err := openBolt(path, f)
	if err != nil {
		return nil, 0, err
	}
	opened, err := (&file{path: path, db: db}).encrypt(opts.Transformers, opts.Log)
	if err != nil {
		return nil, 0, errors.Join(err, opened.db.Close())
	}
	return opened, rev, nil
}

// createFile makes an empty store under another name and links it to path when it is whole, so that a crash in between
// cannot leave a file that looks truncated. When two processes do so at once, one file wins.
func createFile(path string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	removeStale(path)
	defer os.Remove(tmp.Name())
	tmp.Close()
	if err := writeEmpty(tmp.Name()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// removeStale removes what a crash in createFile left, but nothing that may still be in the making.
func removeStale(path string) {
	stale, _ := filepath.Glob(path + ".new-*") // the pattern is well-formed
	for _, name := range stale {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Minute {
			os.Remove(name)
		}
	}
}

func writeEmpty(path string) error {
	db, err := bolt.Open(path, fileMode, &bolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(objectsBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if err := meta.Put(formatKey, []byte(fileFormat)); err != nil {
			return err
		}
		return meta.Put(revisionKey, binary.BigEndian.AppendUint64(nil, firstRevision))
	})
	return errors.Join(err, db.Close())
}

// syncDir makes a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// checkFile locks f and makes sure that it is whole. It returns the revision that the file is at.
func checkFile(f *os.File, log *slog.Logger) (uint64, error) {
	if err := lock(f); err != nil {
		return 0, fmt.Errorf("%w: %s: %w; another kube-lite runs with this data directory (see `kube-lite status`)",
			ErrInUse, f.Name(), err)
	}
	var format string
	var rev uint64
	meta, err := verify(f, func(bucket string, key, value []byte) error {
		switch {
		case bucket == string(objectsBucket):
			_, err := decodeRecord(key, value)
			return err
		case bucket == string(metaBucket) && string(key) == string(formatKey):
			format = string(value)
		case bucket == string(metaBucket) && string(key) == string(revisionKey) && len(value) == 8:
			rev = binary.BigEndian.Uint64(value)
		}
		return nil
	})
	if err == nil && (format != fileFormat || rev == 0) {
		err = fmt.Errorf("its format is %q and not %q", format, fileFormat)
	}
	if err != nil {
		return 0, corrupt(f.Name(), err)
	}
	if meta.lone {
		log.Warn("One of the two headers of the store file is damaged: the last write may be lost", "file", f.Name(), "revision", rev)
	}
	return rev, nil
}

// corrupt says what is wrong with the file at path and what its owner can do.
func corrupt(path string, err error) error {
	return fmt.Errorf("%w: %s: %w; restore the file from a backup, or move it away to start with an empty cluster, "+
		"or remove the whole instance with `kube-lite reset`", ErrCorrupt, path, err)
}

func lock(f *os.File) error {
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(lockRetry) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
	}
}

// openBolt hands the checked and locked f to bbolt. What bbolt objects to by a panic becomes an error. f is closed then.
func openBolt(path string, f *os.File) (db *bolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = corrupt(path, fmt.Errorf("%v", p))
		}
		if err != nil {
			_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // a mapping that bbolt left would keep the lock
			f.Close()                                 // again, or still: bbolt closes it on some errors only
		}
	}()
	db, err = bolt.Open(path, fileMode, &bolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bolt.FreelistMapType,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, fmt.Errorf("open store file %s: %w", path, err)
	}
	return db, nil
}
