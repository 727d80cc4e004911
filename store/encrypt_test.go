package store

import (
	"bytes"
	"context"
	"crypto/aes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// rewriteChildEnv is the path of a store file that the child opens, and so encrypts.
const rewriteChildEnv = "KUBE_LITE_STORE_REWRITE_CHILD"

// podKeys encrypt pods: the first key writes, all of them read. The key "" leaves values as they are.
type podKeys []string

func (k podKeys) TransformerForResource(r schema.GroupResource) value.Transformer {
	if r != (schema.GroupResource{Resource: "pods"}) {
		return nil
	}
	var all []value.PrefixTransformer
	for _, name := range k {
		if name == "" {
			all = append(all, value.PrefixTransformer{Transformer: identity.NewEncryptCheckTransformer()})
			continue
		}
		block, err := aes.NewCipher([]byte(fmt.Sprintf("%-32s", name)))
		if err != nil {
			panic(err)
		}
		gcm, err := aestransformer.NewGCMTransformer(block)
		if err != nil {
			panic(err)
		}
		all = append(all, value.PrefixTransformer{Prefix: []byte("k8s:enc:aesgcm:v1:" + name + ":"), Transformer: gcm})
	}
	return value.NewPrefixTransformers(errors.New("no key fits"), all...)
}

const secretText = "correct-horse-battery-staple"

// plainStore makes a store file of n pods in the clear.
func plainStore(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	v := s.view(podConfig(nil))
	for i := range n {
		pod := newPod(fmt.Sprintf("p%d", i))
		pod.Labels = map[string]string{"value": secretText}
		if err := v.Create(t.Context(), podKey(pod.Name), pod, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, s)
	return path
}

func mustClose(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// storedPods are the pods of the store at path, with their revisions, as its user sees them.
func storedPods(t *testing.T, path string, keys value.ResourceTransformers) string {
	t.Helper()
	s := openTest(t, path, Options{Transformers: keys})
	defer mustClose(t, s)
	list, err := listPods(t, s.view(podConfig(nil)), storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, "at", list.ResourceVersion)
	for _, p := range list.Items {
		fmt.Fprintln(&b, p.Name, p.ResourceVersion, p.Labels)
	}
	return b.String()
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOldStoreIsEncryptedWhenItIsOpened(t *testing.T) {
	path := plainStore(t, rewriteBatch+20) // more than one batch
	want := storedPods(t, path, nil)
	if !bytes.Contains(mustRead(t, path), []byte(secretText)) {
		t.Fatal("the store was encrypted from the start: this test proves nothing")
	}
	keys := podKeys{"one", ""}
	if got := storedPods(t, path, keys); got != want {
		t.Errorf("after it was encrypted the store has\n%s\nwant\n%s", got, want)
	}
	encrypted := mustRead(t, path)
	if bytes.Contains(encrypted, []byte(secretText)) {
		t.Error("the file still has what was in it in the clear")
	}
	if got := storedPods(t, path, keys); got != want {
		t.Errorf("opened again it has\n%s", got)
	}
	if !bytes.Equal(mustRead(t, path), encrypted) {
		t.Error("a file that was encrypted already was written again")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
}

func TestWritesAreEncryptedAndCanBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	keys := podKeys{"one", ""}
	s := openTest(t, path, Options{Transformers: keys})
	v := s.view(podConfig(nil))
	mustCreate(t, v, "a")
	first := mustLabel(t, v, "a", secretText)
	if again := mustLabel(t, v, "a", secretText); again.ResourceVersion != first.ResourceVersion {
		t.Error("an update that changes nothing was written")
	}
	mustClose(t, s)
	if bytes.Contains(mustRead(t, path), []byte(secretText)) {
		t.Error("the file has a value in the clear")
	}
	if got := storedPods(t, path, keys); !strings.Contains(got, secretText) {
		t.Errorf("read again: %s", got)
	}
}

func TestKeysRotate(t *testing.T) {
	path := plainStore(t, 3)
	want := storedPods(t, path, nil)
	for _, keys := range []podKeys{{"one", ""}, {"two", "one"}, {"two"}, {"", "two"}, {""}} {
		if got := storedPods(t, path, keys); got != want {
			t.Errorf("with the keys %q the store has\n%s\nwant\n%s", keys, got, want)
		}
	}
}

func TestMissingKeyIsAnErrorAndNothingIsLost(t *testing.T) {
	path := plainStore(t, 3)
	want := storedPods(t, path, podKeys{"one", ""})
	before := mustRead(t, path)
	for _, keys := range []podKeys{{"two", ""}, {""}} {
		_, err := Open(path, Options{Transformers: keys})
		if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), path+": 3, such as /pods/default/p0: ") {
			t.Errorf("with the keys %q: %v, want ErrKey with the file and a key", keys, err)
		}
		if !bytes.Equal(mustRead(t, path), before) {
			t.Fatal("the file was changed")
		}
	}
	if got := storedPods(t, path, podKeys{"one"}); got != want {
		t.Errorf("with the key again the store has\n%s\nwant\n%s", got, want)
	}
}

// rewriteChild opens the store, and is killed at some point of that.
func rewriteChild(path string) {
	s, err := Open(path, Options{Transformers: podKeys{"one", ""}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = s.Close()
}

// killEncrypting has a child open the store at path and kills it after a while; it returns how long the child lived.
func killEncrypting(t *testing.T, path string, after time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), rewriteChildEnv+"="+path)
	began := time.Now()
	out, err := child.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Fatalf("the child failed: %v\n%s", err, out)
	}
	return time.Since(began)
}

func TestKilledWhileItEncryptsLosesNothing(t *testing.T) {
	plain := plainStore(t, rewriteBatch*2)
	want := storedPods(t, plain, nil)
	original := mustRead(t, plain)
	path := filepath.Join(t.TempDir(), "store.db")
	life := time.Minute
	outcomes := map[bool]int{}
	for round := range 12 {
		if err := os.WriteFile(path, original, fileMode); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			life = killEncrypting(t, path, life) // to its end: how long it takes
		} else {
			killEncrypting(t, path, time.Duration(rand.Int64N(int64(life))))
		}
		outcomes[bytes.Contains(mustRead(t, path), []byte(secretText))]++
		if got := storedPods(t, path, podKeys{"one", ""}); got != want {
			t.Fatalf("round %d: the store has\n%s\nwant\n%s", round, got, want)
		}
		if bytes.Contains(mustRead(t, path), []byte(secretText)) {
			t.Fatalf("round %d: the file has values in the clear", round)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Fatalf("round %d: %v is left", round, left)
		}
	}
	t.Logf("killed before the file was replaced: %d, after: %d", outcomes[true], outcomes[false])
}
