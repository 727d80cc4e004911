package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt maps its file into memory and trusts it: a truncated or garbled file ends the process with SIGBUS or a panic,
// some of it in goroutines where nobody can recover. So every page that the newest state reaches is read and checked
// here, with plain reads, before bbolt sees the file.
//
// The layout is bbolt's file format 2: pages, each with a header; two meta pages of which the valid one with the higher
// transaction id counts; a B+tree of branch and leaf pages per bucket; and the list of free pages.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader = 16 // id 8, flags 2, count 2, overflow 4
	pageElem   = 16 // branch: pos 4, ksize 4, pgid 8; leaf: flags 4, pos 4, ksize 4, vsize 4

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10

	bucketElem   = 0x01
	bucketHeader = 16 // root 8, sequence 8

	metaSize    = 64 // magic 4, version 4, page size 4, flags 4, root 16, freelist 8, high water mark 8, txid 8, sum 8
	maxPageSize = 64 << 10
)

var order = binary.LittleEndian // bbolt writes in the byte order of the machine; ours are amd64 and arm64

type boltMeta struct {
	pageSize, root, freelist, pages, txid uint64
	// lone says that the other meta page is not valid. A power cut in the midst of writing it does that, and then nobody
	// was told of the write that it stood for; but nothing tells a garbled one from that.
	lone bool
}

type verifier struct {
	r    io.ReaderAt
	meta boltMeta
	seen map[uint64]bool // pages that the trees use
	// visit gets every key and value outside of the root bucket; both are valid during the call only.
	visit func(bucket string, key, value []byte) error
}

// verify checks the structure of f and calls visit for every key and value of its buckets.
func verify(f *os.File, visit func(bucket string, key, value []byte) error) (boltMeta, error) {
	info, err := f.Stat()
	if err != nil {
		return boltMeta{}, err
	}
	meta, err := readMeta(f, info.Size())
	if err != nil {
		return meta, err
	}
	if need := meta.pages * meta.pageSize; uint64(info.Size()) < need {
		return meta, fmt.Errorf("truncated: it has %d bytes and needs %d", info.Size(), need)
	}
	v := &verifier{r: f, meta: meta, seen: map[uint64]bool{}, visit: visit}
	if err := v.tree("", meta.root, nil, nil); err != nil {
		return meta, err
	}
	return meta, v.checkFreelist()
}

// readMeta finds the meta page that bbolt would take.
func readMeta(r io.ReaderAt, size int64) (boltMeta, error) {
	var best boltMeta
	valid := map[int64]bool{}
	head := make([]byte, pageHeader+metaSize)
	for pageSize := int64(1 << 10); pageSize <= maxPageSize; pageSize *= 2 {
		for _, at := range []int64{0, pageSize} {
			if _, err := r.ReadAt(head, at); err != nil && !errors.Is(err, io.EOF) {
				return best, err
			}
			m, ok := parseMeta(head)
			if ok = ok && m.pageSize == uint64(pageSize); ok && m.txid >= best.txid {
				best = m
			}
			valid[at] = valid[at] || ok
			clear(head)
		}
	}
	if best.pageSize == 0 {
		return best, fmt.Errorf("not a store file (no valid header in its %d bytes)", size)
	}
	best.lone = !valid[0] || !valid[int64(best.pageSize)]
	return best, nil
}

func parseMeta(page []byte) (boltMeta, bool) {
	b := page[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	ok := order.Uint16(page[8:])&metaPage != 0 && order.Uint32(b) == boltMagic && order.Uint32(b[4:]) == boltVersion &&
		order.Uint64(b[metaSize-8:]) == sum.Sum64()
	return boltMeta{
		pageSize: uint64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}, ok
}

// page reads a page with its overflow and marks it as used.
func (v *verifier) page(id uint64) (flags, count uint16, body []byte, err error) {
	if id < 2 || id >= v.meta.pages {
		return 0, 0, nil, fmt.Errorf("page %d is referred to but does not exist", id)
	}
	head := make([]byte, pageHeader)
	if _, err := v.r.ReadAt(head, int64(id*v.meta.pageSize)); err != nil {
		return 0, 0, nil, fmt.Errorf("read page %d: %w", id, err)
	}
	overflow := uint64(order.Uint32(head[12:]))
	if order.Uint64(head) != id || id+overflow >= v.meta.pages {
		return 0, 0, nil, fmt.Errorf("page %d is garbled", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return 0, 0, nil, fmt.Errorf("page %d is referred to twice", i)
		}
		v.seen[i] = true
	}
	body = make([]byte, (overflow+1)*v.meta.pageSize)
	if _, err := v.r.ReadAt(body, int64(id*v.meta.pageSize)); err != nil {
		return 0, 0, nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return order.Uint16(head[8:]), order.Uint16(head[10:]), body, nil
}

// tree checks the B+tree of the bucket of that name; the root bucket has the name "". Its keys are at least low and less
// than high, or unbounded if those are nil.
func (v *verifier) tree(bucket string, id uint64, low, high []byte) error {
	flags, count, body, err := v.page(id)
	if err != nil {
		return err
	}
	switch {
	case flags == leafPage:
		err = v.leaf(bucket, body, count, low, high)
	case flags == branchPage && count > 0:
		err = v.branch(bucket, body, int(count), low, high)
	default:
		err = fmt.Errorf("garbled: flags %#x, count %d", flags, count)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (v *verifier) branch(bucket string, body []byte, count int, low, high []byte) error {
	keys, children := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := pageHeader + i*pageElem
		e, ok := slice(body, at, pageElem)
		if !ok {
			return fmt.Errorf("garbled: element %d", i)
		}
		key, ok := slice(body, at+int(order.Uint32(e)), int(order.Uint32(e[4:])))
		if !ok || !between(key, low, high) {
			return fmt.Errorf("garbled: key %d", i)
		}
		keys[i], children[i], low = key, order.Uint64(e[8:]), key
	}
	for i, child := range children {
		end := high
		if i+1 < count {
			end = keys[i+1]
		}
		if err := v.tree(bucket, child, keys[i], end); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) leaf(bucket string, body []byte, count uint16, low, high []byte) error {
	for i := range int(count) {
		at := pageHeader + i*pageElem
		e, ok := slice(body, at, pageElem)
		if !ok {
			return fmt.Errorf("garbled: element %d", i)
		}
		pos, ksize, vsize := int(order.Uint32(e[4:])), int(order.Uint32(e[8:])), int(order.Uint32(e[12:]))
		kv, ok := slice(body, at+pos, ksize+vsize)
		if !ok || !between(kv[:ksize], low, high) || i > 0 && bytes.Equal(kv[:ksize], low) {
			return fmt.Errorf("garbled: key %d", i)
		}
		key, value := kv[:ksize], kv[ksize:]
		if err := v.value(bucket, order.Uint32(e), key, value); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		low = key
	}
	return nil
}

func between(key, low, high []byte) bool {
	return bytes.Compare(key, low) >= 0 && (high == nil || bytes.Compare(key, high) < 0)
}

func (v *verifier) value(bucket string, flags uint32, key, value []byte) error {
	switch isBucket := flags&bucketElem != 0; {
	case bucket == "" && isBucket && len(value) >= bucketHeader:
		if root := order.Uint64(value); root != 0 {
			return v.tree(string(key), root, nil, nil)
		}
		inline := value[bucketHeader:] // a small bucket lies in its parent's page
		if len(inline) < pageHeader || order.Uint16(inline[8:]) != leafPage {
			return errors.New("garbled: inline bucket")
		}
		return v.leaf(string(key), inline, order.Uint16(inline[10:]), nil, nil)
	case bucket != "" && !isBucket:
		return v.visit(bucket, key, value)
	default:
		return errors.New("not written by kube-lite")
	}
}

// checkFreelist makes sure that no page is both free and in use, or the next write would destroy an object.
func (v *verifier) checkFreelist() error {
	flags, count, body, err := v.page(v.meta.freelist)
	if err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	if flags != freelistPage {
		return fmt.Errorf("list of free pages: page %d is garbled", v.meta.freelist)
	}
	n, at := uint64(count), pageHeader
	if count == 0xFFFF { // the count does not fit: it is the first element
		n, at = order.Uint64(body[at:]), at+8
	}
	if n > uint64(len(body)-at)/8 {
		return fmt.Errorf("list of free pages: garbled: %d pages", n)
	}
	for i := range int(n) {
		id := order.Uint64(body[at+i*8:])
		if id < 2 || id >= v.meta.pages || v.seen[id] {
			return fmt.Errorf("list of free pages: page %d is not free", id)
		}
		v.seen[id] = true
	}
	return nil
}

func slice(b []byte, at, n int) ([]byte, bool) {
	if at < 0 || n < 0 || at+n < at || at+n > len(b) {
		return nil, false
	}
	return b[at : at+n], true
}
