package apiserver

import (
	"encoding/json"
	"math/rand"
	"net/http"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// FuzzBodies sends bodies to every kind, each by every verb that takes one and in every media type. The answer must be an
// object or a proper Status, never an error of the server, and nothing may be left running. A body that is empty is made
// of the kind's example, with faults as the seed says.
func FuzzBodies(f *testing.F) {
	b := serve(f, f.TempDir()).bodies(f)
	for n := range b.targets {
		f.Add(uint16(n), uint8(n), int64(0), []byte(nil))
		f.Add(uint16(n), uint8(n+1), int64(n+1), []byte(nil))
		if n%8 == 0 { // what nothing can decode is refused before the kind matters
			f.Add(uint16(n), uint8(n+2), int64(0), []byte("{\"a\": [\xff]"))
		}
	}
	before := goruntime.NumGoroutine()
	f.Fuzz(func(t *testing.T, n uint16, media uint8, seed int64, body []byte) {
		to, as := b.targets[int(n)%len(b.targets)], objectTypes[int(media)%len(objectTypes)]
		if len(body) == 0 {
			body = b.generate(to, as, seed)
		}
		if err := b.try(to, as, body); err != nil {
			t.Errorf("%v\nbody: %q", err, body)
		}
		awaitGoroutines(t, before+goroutineMargin)
	})
}

// goroutineMargin is what connections and the server's own loops may come to at any moment.
const goroutineMargin = 100

func awaitGoroutines(t testing.TB, most int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); goruntime.NumGoroutine() > most; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines run, more than %d", goruntime.NumGoroutine(), most)
		}
	}
}

// generate makes a body for a target. The seed 0 is the example itself.
func (b *bodies) generate(to target, media string, seed int64) []byte {
	random := rand.New(rand.NewSource(seed))
	object := b.example(to.kind)
	faulty := object
	if seed != 0 {
		faulty, _ = mixed(object, filled(to.kind, random), random).(map[string]any)
	}
	switch {
	case to.media == "application/json-patch+json":
		return jsonPatch(object, faulty, random)
	case strings.HasSuffix(to.media, "cbor"):
		return encode(faulty, to.kind, runtime.ContentTypeCBOR)
	case to.media != "":
		media = "application/json"
	}
	data := encode(faulty, to.kind, media)
	if media != "application/json" && seed%3 == 2 && len(data) > 0 {
		data[random.Intn(len(data))] ^= byte(1 << random.Intn(8))
	}
	return data
}

// filled is an object of the kind with random values, as JSON has it; nil if the kind has no Go type.
func filled(kind schema.GroupVersionKind, random *rand.Rand) any {
	object, err := legacyscheme.Scheme.New(kind)
	if err != nil {
		return nil
	}
	fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(random.Int63()), legacyscheme.Codecs).NumElements(0, 3).Fill(object)
	data, err := json.Marshal(object)
	if err != nil {
		return nil
	}
	var value any
	_ = json.Unmarshal(data, &value)
	return value
}

// oddities are values that no field expects.
var oddities = []any{
	nil, true, "", "a", "\x00", "\u202e", "-1", "1e999", "$(A)", "{{.}}", strings.Repeat("x", 300), "999999999999Gi", "0001-01-01T00:00:00Z",
	-1, 0, 1.5, 9007199254740993, -9223372036854775808, 1e300, []any{}, []any{nil}, []any{map[string]any{}}, map[string]any{},
	map[string]any{"": nil}, map[string]any{"$patch": "delete"}, map[string]any{"$retainKeys": []any{1}}, []any{map[string]any{"$patch": "replace"}},
}

// mixed is a value with parts of another one and oddities in it.
func mixed(value, other any, random *rand.Rand) any {
	switch random.Intn(24) {
	case 0:
		return oddities[random.Intn(len(oddities))]
	case 1, 2:
		if other != nil {
			return other
		}
	}
	switch value := value.(type) {
	case map[string]any:
		return mixedMap(value, other, random)
	case []any:
		others, _ := other.([]any)
		items := slices.Clone(value)
		for n := range items {
			var with any
			if n < len(others) {
				with = others[n]
			}
			items[n] = mixed(items[n], with, random)
		}
		if random.Intn(8) == 0 {
			items = append(items, items...)
		}
		return items
	}
	return value
}

func mixedMap(value map[string]any, other any, random *rand.Rand) map[string]any {
	others, _ := other.(map[string]any)
	object := map[string]any{}
	for _, key := range keysOf(value) {
		switch {
		case key == "apiVersion" || key == "kind":
			object[key] = value[key]
		case random.Intn(16) > 0:
			object[key] = mixed(value[key], others[key], random)
		}
	}
	for _, key := range keysOf(others) {
		if _, ok := object[key]; !ok && random.Intn(8) == 0 {
			object[key] = mixed(others[key], nil, random)
		}
	}
	return object
}

// keysOf are in order, so that a seed makes the same body each time.
func keysOf(object map[string]any) []string {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// jsonPatch writes operations on the object's fields, with values from another one.
func jsonPatch(object, other map[string]any, random *rand.Rand) []byte {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		From  string `json:"from,omitempty"`
		Value any    `json:"value"`
	}
	paths := append(jsonPointers("", object), jsonPointers("", other)...)
	paths = append(paths, "", "/", "/-", "/metadata/labels/~2", "/spec/-1", "/metadata/finalizers/99999999999999999999")
	var all []operation
	for range 1 + random.Intn(4) {
		value := any(other)
		if random.Intn(2) == 0 {
			value = oddities[random.Intn(len(oddities))]
		}
		all = append(all, operation{
			Op:    []string{"add", "remove", "replace", "move", "copy", "test"}[random.Intn(6)],
			Path:  paths[random.Intn(len(paths))],
			From:  paths[random.Intn(len(paths))],
			Value: value,
		})
	}
	data, _ := json.Marshal(all)
	return data
}

// jsonPointers are the JSON pointers of everything in a value.
func jsonPointers(at string, value any) []string {
	all := []string{at}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range keysOf(value) {
			all = append(all, jsonPointers(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), value[key])...)
		}
	case []any:
		for n := range value {
			all = append(all, jsonPointers(at+"/"+string(rune('0'+n%10)), value[n])...)
		}
	}
	return all
}

// Every kind that is stored has an example that the server takes, so that what is sent reaches more than "not found".
func TestEveryKindHasAnExample(t *testing.T) {
	t.Parallel()
	b := serve(t, t.TempDir()).bodies(t)
	if len(b.targets) < 400 {
		t.Errorf("only %d requests take a body", len(b.targets))
	}
	for _, to := range b.targets {
		if to.method != http.MethodPut || to.path != to.item {
			continue
		}
		if got, err := b.send(http.MethodGet, to.item, "", nil); err != nil || got.code != http.StatusOK {
			made, _ := b.send(http.MethodPost, to.item[:strings.LastIndex(to.item, "/")], "application/yaml", encode(b.example(to.kind), to.kind, "application/yaml"))
			t.Errorf("GET %s: %v %s; POST: %s", to.item, err, got.body, made.body)
		}
	}
}
