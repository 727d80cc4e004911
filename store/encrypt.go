package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/value"
)

// ErrKey says that the file has values that none of the keys at hand decrypts. The file is left as it is.
var ErrKey = errors.New("no key for values in the store file")

// RewriteSuffix is added to the file's name for the copy that is about to take its place.
const RewriteSuffix = ".rewrite"

// rewriteBatch is how many records of the copy are written at a time, to bound the memory for them.
const rewriteBatch = 1000

// transformers encrypt values by the resource that a key begins with.
type transformers struct {
	of    value.ResourceTransformers // nil: nothing is encrypted
	known map[string]value.Transformer
}

// transformer is that of a resource prefix, and nil where values are stored as they are.
func (o Options) transformer(prefix string) value.Transformer {
	if o.Transformers == nil {
		return nil
	}
	return o.Transformers.TransformerForResource(schema.ParseGroupResource(strings.Trim(prefix, "/")))
}

func (t transformers) forKey(key []byte) value.Transformer {
	name, _, _ := bytes.Cut(bytes.TrimPrefix(key, []byte("/")), []byte("/"))
	known, ok := t.known[string(name)]
	if !ok {
		known = Options{Transformers: t.of}.transformer(string(name))
		t.known[string(name)] = known
	}
	return known
}

// renewed returns data as it would be written now, and whether that differs from how it is stored.
func (t transformers) renewed(key, data []byte) ([]byte, bool, error) {
	with := t.forKey(key)
	if with == nil {
		return data, false, nil
	}
	plain, stale, err := with.TransformFromStorage(context.Background(), data, value.DefaultContext(key))
	if err != nil || !stale {
		return data, false, err
	}
	data, err = with.TransformToStorage(context.Background(), plain, value.DefaultContext(key))
	return data, true, err
}

// encrypt makes sure that every value can be decrypted, and is encrypted as it would be now: if one is not, the whole
// file is replaced by a copy, so that nothing of the old value stays in its free pages. A crash leaves one or the other.
func (f *file) encrypt(with value.ResourceTransformers, log *slog.Logger) (*file, error) {
	if err := os.Remove(f.path + RewriteSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("remove what an interrupted start left: %w", err)
	}
	if with == nil {
		return f, nil
	}
	t := transformers{of: with, known: map[string]value.Transformer{}}
	stale, err := f.countStale(t)
	if err != nil || stale == 0 {
		return f, err
	}
	log.Info("Values in the store file are encrypted anew", "file", f.path, "values", stale)
	next, err := f.rewrite(t)
	if err != nil {
		return f, fmt.Errorf("encrypt store file %s anew: %w", f.path, err)
	}
	return next, nil
}

// countStale counts the values that would be written differently now. It fails if there are some without a key.
func (f *file) countStale(t transformers) (stale int, err error) {
	var locked int
	var first error
	err = f.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(objectsBucket).ForEach(func(key, b []byte) error {
			with := t.forKey(key)
			if with == nil {
				return nil
			}
			r, err := decodeRecord(key, b)
			if err != nil {
				return corrupt(f.path, fmt.Errorf("key %s: %w", key, err))
			}
			_, old, err := with.TransformFromStorage(context.Background(), r.data, value.DefaultContext(key))
			if err != nil {
				if locked++; locked == 1 {
					first = fmt.Errorf("%s: %w", key, err)
				}
			} else if old {
				stale++
			}
			return nil
		})
	})
	if err == nil && locked > 0 {
		err = fmt.Errorf("%w: %s: %d, such as %w", ErrKey, f.path, locked, first)
	}
	return stale, err
}

// rewrite puts a copy in the place of the file and returns it, open and locked.
func (f *file) rewrite(t transformers) (*file, error) {
	path := f.path + RewriteSuffix
	if err := f.copyTo(path, t); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	next, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(lock(next), os.Rename(path, f.path)); err != nil {
		next.Close()
		return nil, err
	}
	if err := errors.Join(syncDir(filepath.Dir(f.path)), f.db.Close()); err != nil {
		next.Close()
		return nil, err
	}
	db, err := openBolt(f.path, next)
	if err != nil {
		return nil, err
	}
	return &file{path: f.path, db: db}, nil
}

// copyTo makes a file at path with the same records at the same revisions. It is durable when copyTo returns.
func (f *file) copyTo(path string, t transformers) error {
	to, err := bolt.Open(path, fileMode, &bolt.Options{NoSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = f.db.View(func(from *bolt.Tx) error {
		if err := copyBucket(from, to, metaBucket, func(_, b []byte) ([]byte, error) { return b, nil }); err != nil {
			return err
		}
		return copyBucket(from, to, objectsBucket, func(key, b []byte) ([]byte, error) {
			r, err := decodeRecord(key, b)
			if err != nil {
				return nil, err
			}
			data, changed, err := t.renewed(key, r.data)
			if err != nil || !changed {
				return b, err
			}
			r.data = data
			return r.encode(string(key)), nil
		})
	})
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

// copyBucket copies what change makes of the values.
func copyBucket(from *bolt.Tx, to *bolt.DB, name []byte, change func(key, b []byte) ([]byte, error)) error {
	cursor := from.Bucket(name).Cursor()
	for key, b := cursor.First(); ; {
		err := to.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists(name)
			for n := 0; err == nil && key != nil && n < rewriteBatch; n++ {
				var changed []byte
				if changed, err = change(key, b); err == nil {
					err = bucket.Put(key, changed)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				key, b = cursor.Next()
			}
			return err
		})
		if err != nil || key == nil {
			return err
		}
	}
}
