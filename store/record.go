package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A record is the value of one key in the file:
//
//	format  1 byte, recordFormat
//	rev     8 bytes, big endian: the revision of the write
//	expiry  8 bytes, big endian: when to delete it, Unix milliseconds, 0 for never
//	crc     4 bytes, big endian: CRC-32C of the key, the three fields above and the data
//	data    what the codec (and the transformer, if any) made of the object
const (
	recordFormat = 1
	recordHeader = 1 + 8 + 8 + 4
)

type record struct {
	rev    uint64
	expiry int64
	data   []byte
}

var errRecord = errors.New("checksum mismatch")

func (r record) encode(key string) []byte {
	b := make([]byte, recordHeader, recordHeader+len(r.data))
	b[0] = recordFormat
	binary.BigEndian.PutUint64(b[1:], r.rev)
	binary.BigEndian.PutUint64(b[9:], uint64(r.expiry))
	b = append(b, r.data...)
	binary.BigEndian.PutUint32(b[17:], recordSum([]byte(key), b))
	return b
}

// decodeRecord checks b and returns its parts; data aliases b.
func decodeRecord(key, b []byte) (record, error) {
	if len(b) < recordHeader || b[0] != recordFormat {
		return record{}, errors.New("unknown record format")
	}
	if binary.BigEndian.Uint32(b[17:]) != recordSum(key, b) {
		return record{}, errRecord
	}
	return record{
		rev:    binary.BigEndian.Uint64(b[1:]),
		expiry: int64(binary.BigEndian.Uint64(b[9:])),
		data:   b[recordHeader:],
	}, nil
}

// recordSum covers the key too, so that a record under another's key does not pass.
func recordSum(key, b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // the standard library keeps one table
	sum := crc32.Update(0, table, key)
	sum = crc32.Update(sum, table, b[:17])
	return crc32.Update(sum, table, b[recordHeader:])
}
