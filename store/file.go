package store

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the file, and the keys in the one for the store's own facts.
var (
	objectsBucket = []byte("objects") // an object's key → its record
	metaBucket    = []byte("meta")
	formatKey     = []byte("format")   // fileFormat
	revisionKey   = []byte("revision") // 8 bytes, big endian: of the last write, deletes included
)

// file is the durable half of a Store.
type file struct {
	path string
	db   *bolt.DB
}

// write makes ops durable as one transaction, after which the file is at rev.
func (f *file) write(ops []*op, rev uint64) (err error) {
	tx, err := f.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	objects := tx.Bucket(objectsBucket)
	for _, o := range ops {
		if o.put == nil {
			err = objects.Delete([]byte(o.key))
		} else {
			r := record{rev: o.put.rev, expiry: o.put.expiry, data: o.data}
			err = objects.Put([]byte(o.key), r.encode(o.key))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", o.key, err)
		}
	}
	if err := tx.Bucket(metaBucket).Put(revisionKey, binary.BigEndian.AppendUint64(nil, rev)); err != nil {
		return err
	}
	return tx.Commit()
}

// revision is what the file says, also after a failed commit.
func (f *file) revision() (rev uint64, err error) {
	err = f.db.View(func(tx *bolt.Tx) error {
		rev = binary.BigEndian.Uint64(tx.Bucket(metaBucket).Get(revisionKey))
		return nil
	})
	return rev, err
}

// read calls visit with the record of key, or with ok false; the record is valid during the call only.
func (f *file) read(key string, visit func(r record, ok bool) error) error {
	return f.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(objectsBucket).Get([]byte(key))
		if b == nil {
			return visit(record{}, false)
		}
		r, err := decodeRecord([]byte(key), b)
		if err != nil {
			return corrupt(f.path, fmt.Errorf("key %s: %w", key, err))
		}
		return visit(r, true)
	})
}

// scan calls visit for every record whose key has prefix, in order; data is the callee's to keep.
func (f *file) scan(prefix string, visit func(key string, r record)) error {
	return f.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(objectsBucket).Cursor()
		for k, b := c.Seek([]byte(prefix)); k != nil && hasPrefix(k, prefix); k, b = c.Next() {
			r, err := decodeRecord(k, b)
			if err != nil {
				return corrupt(f.path, fmt.Errorf("key %s: %w", k, err))
			}
			r.data = append([]byte(nil), r.data...)
			visit(string(k), r)
		}
		return nil
	})
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
