package store

import (
	"bytes"
	"io"
	"sync"
	"weak"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A shared object is what all watches send of one event: the API server encodes it once for each form that clients ask
// for, and not once for each client. It is the watch.Event's object as the API server's watch cache makes it, so upstream's
// handlers know what to do with it; others call GetObject. The object in it never changes.
type shared struct {
	object runtime.Object

	mu      sync.Mutex // guards encoded
	encoded map[runtime.Identifier]*encoding
}

var _ runtime.CacheableObject = (*shared)(nil)

// An encoding is made by whoever wants it first; the others wait.
type encoding struct {
	once sync.Once
	data []byte
	err  error
}

// CacheEncode implements runtime.CacheableObject.
func (s *shared) CacheEncode(id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	e := s.encoding(id)
	e.once.Do(func() {
		var buffer bytes.Buffer
		e.err = encode(s.GetObject(), &buffer)
		e.data = buffer.Bytes()
	})
	if e.err != nil {
		return e.err
	}
	if to, ok := w.(runtime.Splice); ok {
		to.Splice(e.data)
		return nil
	}
	_, err := w.Write(e.data)
	return err
}

func (s *shared) encoding(id runtime.Identifier) *encoding {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.encoded[id]
	if e == nil {
		e = &encoding{}
		if s.encoded == nil {
			s.encoded = map[runtime.Identifier]*encoding{}
		}
		s.encoded[id] = e
	}
	return e
}

// GetObject implements runtime.CacheableObject: the copy is the caller's.
func (s *shared) GetObject() runtime.Object { return s.object.DeepCopyObject() }

// GetObjectKind implements runtime.Object.
func (s *shared) GetObjectKind() schema.ObjectKind { return s.object.GetObjectKind() }

// GetObjectMeta implements metav1.ObjectMetaAccessor, with a copy too.
func (s *shared) GetObjectMeta() metav1.Object {
	m, err := meta.Accessor(s.GetObject())
	if err != nil { // nothing without metadata is stored
		return nil
	}
	return m
}

// DeepCopyObject implements runtime.Object.
func (s *shared) DeepCopyObject() runtime.Object { return &shared{object: s.GetObject()} }

// A share has the watches that send an event at about the same time find the same object. It keeps none alive: who comes
// much later makes another one.
type share struct {
	mu     sync.Mutex
	object weak.Pointer[shared]
}

// get returns the object that is in use, or creates one.
func (s *share) get(create func() (*shared, error)) (*shared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.object.Value(); o != nil {
		return o, nil
	}
	o, err := create()
	if err == nil {
		s.object = weak.Make(o)
	}
	return o, err
}
