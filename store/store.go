package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/client-go/tools/cache"
)

// Defaults of Options. A history weighs two to three times its encoded bytes, so that even a handful of busy resources
// stay well below the daemon's memory budget.
const (
	DefaultHistorySize      = 4096
	DefaultHistoryBytes     = 4 << 20
	DefaultHistoryAge       = 5 * time.Minute // etcd's default compaction interval
	DefaultBookmarkInterval = time.Minute     // as the API server's watch cache
)

// ErrClosed is what calls on a closed Store return.
var ErrClosed = errors.New("store is closed")

// Options tune a Store. The zero value is right for the daemon.
type Options struct {
	// HistorySize is how many events each resource keeps for watches to resume from. 0 means DefaultHistorySize.
	HistorySize int
	// HistoryBytes bounds the encoded size of the old objects that one resource's history keeps. 0 means
	// DefaultHistoryBytes.
	HistoryBytes int64
	// HistoryAge is how long an event is kept at most. 0 means DefaultHistoryAge.
	HistoryAge time.Duration
	// BookmarkInterval is how often a watch that allows bookmarks gets one. 0 means DefaultBookmarkInterval.
	BookmarkInterval time.Duration
	// Transformers encrypt what goes to the file, by resource; nil, or nil for a resource, stores what the codec made. The
	// resource is that of the key's prefix, such as "deployments.apps" of /deployments.apps/default/web. Open fails with
	// ErrKey when they cannot decrypt everything, and encrypts anew what they call stale.
	Transformers value.ResourceTransformers
	// Log gets what no caller can be told. nil means slog.Default().
	Log *slog.Logger
}

// A StorageConfig describes one resource to Store.Storage.
type StorageConfig struct {
	// Codec encodes objects for the file and decodes them into what NewFunc returns. Views of the same prefix must
	// agree on both, unless what NewFunc returns is unstructured: then each decodes what any of them encoded.
	Codec runtime.Codec
	// ResourcePrefix begins every key of the resource, such as "/pods".
	ResourcePrefix string
	// NewFunc and NewListFunc return empty objects, such as *core.Pod and *core.PodList.
	NewFunc, NewListFunc func() runtime.Object
	// GroupResource names the resource in messages.
	GroupResource schema.GroupResource
	// Transformer encrypts what goes to the file. nil is that of Options.Transformers.
	Transformer value.Transformer
}

// A Store is an open store file and everything in it. All its methods may be called at once.
type Store struct {
	opts Options
	log  *slog.Logger
	file *file

	// mu guards what is visible to readers. It is never held over I/O or a callback.
	mu        sync.RWMutex
	rev       uint64
	resources map[string]*resource
	moments   []moment // of the last HistoryAge, one for each trimInterval, the oldest first
	expired   uint64   // lists of earlier revisions are refused

	// queueMu guards the ops that wait for the committer.
	queueMu sync.Mutex
	queue   []*op
	closed  bool
	wake    chan struct{} // capacity 1: there is something in the queue

	expirer expirer
	// health is nil or why the last write failed.
	health atomic.Pointer[error]

	closing   chan struct{} // closed when Close begins: ends watches and the expirer
	closeOnce sync.Once
	closeErr  error
	background,
	watches sync.WaitGroup
}

// Open opens the store file at path, or makes a new one if there is none. It fails with ErrInUse when another process
// has the file open, with ErrCorrupt when the file is not whole, and with ErrKey when it cannot be decrypted. The messages
// name the file; those of the first two say what to do.
func Open(path string, opts Options) (*Store, error) {
	opts.HistorySize = cmp.Or(opts.HistorySize, DefaultHistorySize)
	opts.HistoryBytes = cmp.Or(opts.HistoryBytes, DefaultHistoryBytes)
	opts.HistoryAge = cmp.Or(opts.HistoryAge, DefaultHistoryAge)
	opts.BookmarkInterval = cmp.Or(opts.BookmarkInterval, DefaultBookmarkInterval)
	opts.Log = cmp.Or(opts.Log, slog.Default())
	f, rev, err := openFile(path, opts)
	if err != nil {
		return nil, err
	}
	s := &Store{
		opts:      opts,
		log:       opts.Log,
		file:      f,
		rev:       rev,
		resources: map[string]*resource{},
		wake:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
	}
	s.expirer.wake = make(chan struct{}, 1)
	s.background.Go(s.commitLoop)
	s.background.Go(s.expireLoop)
	return s, nil
}

// Close ends all watches, waits for the writes that have begun, and closes the file. Later calls return ErrClosed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.queueMu.Lock()
		s.closed = true
		s.queueMu.Unlock()
		close(s.closing)
		s.background.Wait()
		s.watches.Wait()
		if err := s.file.db.Close(); err != nil {
			s.closeErr = fmt.Errorf("close store file %s: %w", s.file.path, err)
		}
	})
	return s.closeErr
}

// Storage returns the view of one resource. Views of the same prefix share their objects. An object in the file that
// cannot be decoded is logged, and makes those calls on the view fail that would have to return it.
func (s *Store) Storage(c StorageConfig) storage.Interface {
	return s.view(c)
}

func (s *Store) view(c StorageConfig) *view {
	if c.Transformer == nil {
		c.Transformer = s.opts.transformer(c.ResourcePrefix)
	}
	v := &view{store: s, config: c, prefix: "/" + strings.Trim(c.ResourcePrefix, "/") + "/", custom: isCustom(c.NewFunc)}
	if v.custom {
		v.gone = make(chan struct{})
	}
	s.mu.Lock()
	r := s.resources[v.prefix]
	if r == nil {
		r = newResource(v.prefix, s.rev)
		s.resources[v.prefix] = r
	}
	s.mu.Unlock()
	v.resource = r
	r.loaded.Do(v.load)
	return v
}

// Count is how many objects a resource has, given its prefix. It is 0 for one that no view was made of.
func (s *Store) Count(resourcePrefix string) int {
	stats, _ := s.Stats(resourcePrefix)
	return int(stats.ObjectCount)
}

// Stats are those of a resource, given its prefix, and whether a view was made of it.
func (s *Store) Stats(resourcePrefix string) (storage.Stats, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.resources["/"+strings.Trim(resourcePrefix, "/")+"/"]
	if r == nil {
		return storage.Stats{}, false
	}
	return r.stats(), true
}

// Decorator plugs the Store into the API server's registries: put it into generic.RESTOptions.Decorator. Building a
// registry fails when one of its objects in the file cannot be decoded; the message names the key and the file.
func (s *Store) Decorator() generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		_ func(obj runtime.Object) (string, error),
		newFunc func() runtime.Object,
		newListFunc func() runtime.Object,
		_ storage.AttrFunc,
		_ storage.IndexerFuncs,
		_ *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		v := s.view(StorageConfig{
			Codec:          config.Codec,
			ResourcePrefix: resourcePrefix,
			NewFunc:        newFunc,
			NewListFunc:    newListFunc,
			GroupResource:  config.GroupResource,
			Transformer:    config.Transformer,
		})
		if err := v.loadError(); err != nil {
			return nil, nil, err
		}
		if v.custom {
			return v, v.destroy, nil
		}
		return v, func() {}, nil // the file outlives every registry
	}
}

func (s *Store) limits() limits {
	return limits{size: s.opts.HistorySize, bytes: s.opts.HistoryBytes, age: s.opts.HistoryAge}
}
